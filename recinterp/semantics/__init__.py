"""Gallina programs as ground truth: parse, check, reduce by δ, β, ι and ζ steps."""
