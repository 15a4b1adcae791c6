"""Run the tutorials and store their outputs in them.

python scripts/tutorials.py             # all of them
python scripts/tutorials.py 4_perturb   # those whose name contains a word
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
SECONDS = 900  # a cell may take


def executed(path: Path) -> nbformat.NotebookNode:
    """A notebook after a run in a fresh kernel, without what differs from run to run."""
    book = nbformat.read(path, as_version=4)
    here = {"metadata": {"path": str(FOLDER)}}
    run = NotebookClient(
        book, timeout=SECONDS, kernel_name="python3", resources=here, coalesce_streams=True
    )
    run.execute()
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    return book


def main() -> None:
    """Run and write."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or any(word in path.name for word in sys.argv[1:]):
            nbformat.write(executed(path), path)


if __name__ == "__main__":
    main()
