"""`python -m recinterp`: the command line."""

from __future__ import annotations

from recinterp.cli import main

if __name__ == "__main__":
    main()
