"""Hooked models of every kind under one set of names."""
