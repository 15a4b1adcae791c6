"""Put a fresh report into the README: explain the shipped shortcut model, show its first lines.

python scripts/readme.py [saved explanation]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import recinterp as ri
from recinterp.io import write_text
from recinterp.view import explanation_text

README = Path(__file__).resolve().parents[1] / "README.md"
MODEL = "binary-successor-natural-depthcap3"
WIDTH = 110  # characters a line, what GitHub shows without a scroll bar
NEXT_SECTION = "Learned machine and ground truth"  # the picture shows it, and what follows


def main() -> None:
    """Explain, or load what was saved, and write."""
    if len(sys.argv) > 1:
        ex = ri.Explanation.load(sys.argv[1])
    else:
        model = ri.load(MODEL)
        ex = ri.explain(model, ri.task("binary-successor"), seed=0)
    first, _, _ = explanation_text(ex, WIDTH).partition(f"\n{NEXT_SECTION}")
    block = f"```text\n{first.rstrip()}\n```"
    text = README.read_text(encoding="utf-8")
    text = re.sub(r"^```text\n.*?^```$", lambda _: block, text, flags=re.DOTALL | re.MULTILINE)
    write_text(README, text)


if __name__ == "__main__":
    main()
