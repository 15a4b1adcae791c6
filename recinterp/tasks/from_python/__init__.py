"""A Python function over frozen dataclasses, read as text and translated to Gallina.

`python_source` finds the text of functions and what its names stand for. `annotations` turns
annotations into the inductive `types`, `patterns` turns patterns into Gallina's. `functions`
translates a body by the handlers in `statements` and `expressions`; these share a `translator` and
leave one idea each to `matches`, `conditions`, `fields`, `lists` and `truth_values`, which put
terms of `gallina` together. `translate` puts the program together. Nothing of the user's is called.
"""

from __future__ import annotations

from recinterp.tasks.from_python.translate import translate_function

__all__ = ["translate_function"]
