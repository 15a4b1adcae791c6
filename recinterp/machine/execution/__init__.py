"""Runs of a machine: one step by step, many at once, many variants of one machine at once."""
