"""The command line: what it prints, and that every mistake is one line and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recinterp.cli import main
from tests.view.machines import SUCCESSOR, capped

Run = Callable[..., tuple[int, str, str]]
COMMANDS = ("explain", "show", "train", "tasks", "trace", "fidelity", "diff")
V = """Inductive bin : Set := One | X0 (n : bin) | X1 (n : bin).
Fixpoint succ (n : bin) : bin :=
  match n with One => X0 One | X0 m => X1 m | X1 m => X0 (succ m) end.
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recinterp", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after a few steps: it loads and runs, and is right about nothing."""
    import recinterp as ri

    path = tmp_path_factory.mktemp("models") / "tiny"
    config = ri.TrainConfig(max_length=5, steps=4, d_model=16, seed=0)
    ri.train(ri.task("binary-successor"), config, progress=False).save(path)
    return path


def refused(result: tuple[int, str, str], *words: str) -> None:
    """One line on stderr with these words, exit code 2, nothing on stdout."""
    code, out, err = result
    assert code == 2, err
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_help_names_every_command_and_gives_an_example(run: Run) -> None:
    for args in ((), ("--help",), ("-h",)):
        code, out, _ = run(*args)
        assert code == 0
        assert all(command in out for command in COMMANDS)
        assert "Example: recinterp explain" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"recinterp {command}" in out


def test_the_help_of_train_names_every_distribution(run: Run) -> None:
    from recinterp.tasks.sampling.sampler import DISTRIBUTIONS

    _, out, _ = run("train", "--help")
    shown = " ".join(out.split())
    assert DISTRIBUTIONS
    assert all(
        name in shown.split("--distribution")[1].split("--steps")[0] for name in DISTRIBUTIONS
    )
    assert "uniform-length" not in shown


def test_tasks_are_listed(run: Run) -> None:
    code, out, _ = run("tasks")
    assert code == 0
    assert "binary-successor" in out.split()


def test_a_trace_shows_the_steps_and_the_result(run: Run) -> None:
    code, out, _ = run("trace", "binary-successor", "X1", "X1", "01")
    assert code == 0
    assert out.count("δ succ") == 1
    assert out.count("ι-match X1") == 2
    assert out.splitlines()[-1] == "depth 2: X1 X1 01 -> X0 X0 X0 01"


def test_a_program_of_ones_own_is_traced_from_its_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "succ.v").write_text(V)
    code, out, _ = run("trace", tmp_path / "succ.v", "X0", "One", "--function", "succ")
    assert code == 0
    assert out.splitlines()[-1] == "depth 0: X0 One -> X1 One"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("trace", "binary-succesor", "X1"), ("binary-successor",)),
        (("trace", "binary-successor", "X1", "X1"), ("position 2",)),
        (("trace", "binary-successor", "Y", "01"), ("Y",)),
        (("trace", "binary-successor", "01", "--order", "sideways"), ("sideways", "reverse")),
        (("explain", "no-such-model"), ("no-such-model",)),
        (("explain", "model.pt"), ("pickle",)),
        (("explain",), ("model",)),
        (("explain", "a", "b"), ("b",)),
        (("explain", "a", "--seed", "x"), ("--seed",)),
        (("nonsense",), ("nonsense",)),
        (("train",), ("--task",)),
        (("train", "no-such-recipe"), ("no-such-recipe",)),
        (("train", "--task", "binary-successor", "--steps", "0"), ("steps",)),
        (("diff", "none.asm", "none.asm"), ("none.asm",)),
        (("diff", "truth", "truth"), ("--task",)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_line(run: Run, args: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(run(*args), *words)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (V.replace("=> X0 One", "-> X0 One"), "line 3"),
        (V.replace("X0 (succ m)", "X0 (succ n)"), "structural"),
        (V.replace("X1 m |", "Y m |"), "Y"),
        ("", "succ"),
    ],
    ids=["syntax", "not structural", "unknown constructor", "empty"],
)
def test_a_faulty_program_is_one_line(run: Run, tmp_path: Path, source: str, word: str) -> None:
    (tmp_path / "p.v").write_text(source)
    refused(run("trace", tmp_path / "p.v", "One", "--function", "succ"), word)


def test_a_v_file_needs_the_functions_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.v").write_text(V)
    refused(run("trace", tmp_path / "p.v", "One"), "--function")


def test_a_machine_that_does_not_parse_is_one_line(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.asm").write_text(str(SUCCESSOR).replace("->", "=>", 1))
    refused(run("fidelity", model, "--machine", tmp_path / "m.asm"), "line")


def test_foreign_and_broken_checkpoints_are_one_line(run: Run, model: Path, tmp_path: Path) -> None:
    for suffix, change in (
        (".safetensors", lambda b: b[: len(b) // 2]),
        (".json", lambda b: b[9:]),
    ):
        for each in (".safetensors", ".json"):
            data = model.with_suffix(each).read_bytes()
            (tmp_path / f"bad{each}").write_bytes(change(data) if each == suffix else data)
        refused(run("explain", tmp_path / "bad"), "bad")


@pytest.mark.parametrize("option", ["--html", "--json", "--save"])
def test_where_it_cannot_write_it_says_so_before_it_works(
    run: Run, model: Path, tmp_path: Path, option: str
) -> None:
    target = tmp_path / "none" / "out"
    refused(run("explain", model, option, target), "none")
    assert not target.parent.exists()


def test_two_machines_are_compared_and_the_shortest_difference_comes_first(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.asm").write_text(str(SUCCESSOR))
    (tmp_path / "b.asm").write_text(str(capped(2)))
    code, out, _ = run("diff", tmp_path / "a.asm", tmp_path / "b.asm", "--max-length", 5)
    assert code == 0
    rows = out.split("part\n")[1].splitlines()
    assert rows[1].split()[:4] == ["X1", "X1", "X1", "01"]
    assert run("diff", tmp_path / "a.asm", tmp_path / "a.asm", "--max-length", 4)[1].count("100.0%")
    refused(run("diff", tmp_path / "a.asm", tmp_path / "b.asm"), "domain")


def test_any_machine_is_judged_against_a_model(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "f.json"
    args = ("--machine", "truth", "--max-length", 6, "--json", target)
    code, out, _ = run("fidelity", model, *args)
    assert code == 0
    last = out.splitlines()[-2].split()
    rows = json.loads(target.read_text())["fidelity"]
    assert rows[-1]["stratum"] == "all held out" == " ".join(last[:3])
    assert rows[-1]["n"] == int(last[3])
    assert rows[-1]["columns"]["match"]["hits"] == 0


@pytest.mark.slow
def test_a_model_is_explained_and_everything_is_written(
    run: Run, model: Path, tmp_path: Path
) -> None:
    page, data, kept = tmp_path / "r.html", tmp_path / "r.json", tmp_path / "r.ex"
    code, out, err = run("explain", model, "--html", page, "--json", data, "--save", kept)
    assert code == 0
    assert err.count("wrote ") == 3
    assert "How far to trust this" in out
    found = json.loads(data.read_text())
    assert found["verdict"] != "exact"
    assert found["headline"] in " ".join(out.split())
    assert "<svg" in page.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.ex", "r.html", "r.json"]
    code, out, _ = run("diff", kept, kept)
    assert code == 0
    assert "They agree on 100.0%" in out


def test_training_saves_a_checkpoint_and_leaves_nothing_else(run: Run, tmp_path: Path) -> None:
    args = ("--max-length", 5, "--steps", 4, "--out", tmp_path / "mine")
    code, out, _ = run("train", "--task", "binary-successor", *args)
    assert code == 0
    assert "4 steps" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]


def test_it_runs_as_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recinterp", "trace", "binary-successor", "X1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_saved_explanation_is_shown_and_its_pages_written(run: Run, tmp_path: Path) -> None:
    from tests.view.builders import explanation

    saved, name = tmp_path / "a.ex", "binary-successor-natural-depthcap3"
    explanation(domain=short(), model_name=name).save(saved)
    step, html, plots = tmp_path / "step.html", tmp_path / "r.html", tmp_path / "plots"
    code, out, err = run("show", saved, "--html", html, "--step", step, "--plots", plots)
    assert code == 0, err
    assert "SHORTCUT" in out
    assert err.count("wrote ") == 5
    assert "succ (X1" in step.read_text()
    assert {p.name for p in plots.iterdir()} == {"heads.html", "fidelity.html", "depth.html"}
    refused(run("show", tmp_path / "none.ex"), "not an explanation")


def short() -> object:
    """A small domain."""
    from recinterp.tasks import Domain

    return Domain(max_length=5)


def test_a_diff_can_be_had_as_numbers(run: Run, tmp_path: Path) -> None:
    a, found = tmp_path / "a.asm", tmp_path / "d.json"
    a.write_text(str(capped()))
    code, _, _ = run(
        "diff", a, "truth", "--task", "binary-successor", "--max-length", 6, "--json", found
    )
    assert code == 0
    data = json.loads(found.read_text())
    assert data["b"] == "truth"
    assert data["agree"]["total"] == 63
    assert data["shortest"][0]["input"] == ["X1", "X1", "X1", "X1", "01"]
