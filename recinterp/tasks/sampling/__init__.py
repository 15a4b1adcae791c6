"""Inputs of a task: all of them in order, and samples of an exact length and depth."""
