"""A machine as text and back, as JSON and as a Python function."""
