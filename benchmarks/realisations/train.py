"""Train the models of distinct labels, those that are not there yet, in the background.

python benchmarks/realisations/train.py [NAMES]        # into runs/realisations/
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from cases import cases

import recinterp as ri

HOME = Path(__file__).resolve().parents[2] / "runs" / "realisations"


def main() -> None:
    """Train what is missing, in the table's order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*")
    table = cases()
    for name in parser.parse_args().names or table:
        if (HOME / f"{name}.json").exists():
            continue
        began, case, work = time.perf_counter(), table[name], HOME / f"{name}.work"
        run = ri.train(case.task, case.recipe, work=work, name=name)
        run.save(HOME / name)
        shutil.rmtree(work, ignore_errors=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
