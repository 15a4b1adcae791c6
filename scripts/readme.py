"""Put a fresh report into the README: explain the shipped shortcut model and replace the block.

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


def main() -> None:
    """Explain, or load what was saved, and write."""
    if len(sys.argv) > 1:
        ex = ri.Explanation.load(sys.argv[1])
    else:
        model = ri.load(MODEL)
        ex = ri.explain(model, ri.task("binary-successor"), seed=0)
    block = f"```text\n{explanation_text(ex, 110)}```"
    text = README.read_text(encoding="utf-8")
    text = re.sub(r"^```text\n.*?^```$", lambda _: block, text, flags=re.DOTALL | re.MULTILINE)
    write_text(README, text)


if __name__ == "__main__":
    main()
