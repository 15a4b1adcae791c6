"""Notebook views: widgets, figures, and pages that stand alone."""
