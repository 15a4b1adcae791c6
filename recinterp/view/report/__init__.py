"""The report of an explanation: its data, its sentences, as text and as a page."""
