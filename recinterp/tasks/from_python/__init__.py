"""A Python function over frozen dataclasses, read as text and translated to Gallina.

`python_source` finds the text of functions and what its names stand for, `types` turns annotations
into inductive types, `patterns` and `functions` turn bodies into terms, `translate` puts the
program together. Nothing of the user's is called.
"""

from __future__ import annotations

from recinterp.tasks.from_python.translate import translate_function

__all__ = ["translate_function"]
