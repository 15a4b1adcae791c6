"""What is in the wheel, and that the files around the code agree with each other."""

from __future__ import annotations

import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from this tree."""
    import subprocess

    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    assert built.stat().st_size < 30e6
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_wheel_contains_every_file_read_at_run_time(wheel: set[str]) -> None:
    package = ROOT / "recinterp"
    kinds = ("*.py", "*.lark", "*.v", "*.js", "*.css", "py.typed")
    needed = {f"recinterp/{p.relative_to(package)}" for k in kinds for p in package.rglob(k)}
    needed |= {
        f"recinterp/checkpoints/{p.name}"
        for kind in ("*.json", "*.safetensors")
        for p in (ROOT / "checkpoints").glob(kind)
    }
    assert needed <= wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_wheel_contains_nothing_else(wheel: set[str]) -> None:
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} == {"recinterp"}


def test_every_dependency_has_a_documented_reason() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Dependencies")[1].split("\n## ")[0]
    explained = set(re.findall(r"^\| ([\w-]+) \| \S", table, re.MULTILINE)) - {"dependency", "---"}
    required = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebook"]]
    assert explained == {re.split(r"[<>=]", d)[0] for d in required}


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-hooked.txt"])
def test_constraints_pin_every_dependency_exactly(name: str) -> None:
    lines = [x for x in (ROOT / name).read_text().splitlines() if x and not x.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>=]", d)[0].lower() for d in wanted} <= pinned
    assert "torch==2.13.0" in lines


def test_version_is_the_same_everywhere() -> None:
    import recinterp

    assert recinterp.__version__ == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
