"""Edits of the true machine: which rule went wrong, what it could do instead, and when."""
