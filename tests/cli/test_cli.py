"""The command line: what it prints, and that every mistake is one line and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recinterp.tasks import Domain
from tests.cli.outcome import Run, refused
from tests.view.builders import explanation
from tests.view.machines import SUCCESSOR, capped

COMMANDS = ("explain", "show", "train", "tasks", "vocab", "trace", "fidelity", "diff")
V = """Inductive bin : Set := One | X0 (n : bin) | X1 (n : bin).
Fixpoint succ (n : bin) : bin :=
  match n with One => X0 One | X0 m => X1 m | X1 m => X0 (succ m) end.
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model after a few steps: it loads and runs, and is right about nothing."""
    import recinterp as ri

    path = tmp_path_factory.mktemp("models") / "tiny"
    config = ri.TrainConfig(max_length=5, steps=4, d_model=16, seed=0)
    ri.train(ri.task("binary-successor"), config, progress=False).save(path)
    return path


def test_help_lists_every_command_and_an_example(run: Run) -> None:
    for args in ((), ("--help",), ("-h",)):
        code, out, _ = run(*args)
        assert code == 0
        assert all(command in out for command in COMMANDS)
        assert "Example: recinterp explain" in out


def test_help_cuts_no_summary_at_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("--help")
    lines = out.split("Commands:")[1].split("Example:")[0].strip().splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)
    assert max(map(len, out.splitlines())) <= 80


def test_version_is_printed(run: Run) -> None:
    import recinterp

    code, out, _ = run("--version")
    assert (code, out) == (0, f"recinterp {recinterp.__version__}\n")


def test_help_of_trace_mentions_no_option_of_other_commands(run: Run) -> None:
    assert "--task" not in run("trace", "--help")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"recinterp {command}" in out


def test_help_of_train_names_every_distribution(run: Run) -> None:
    from recinterp.tasks.sampling.sampler import DISTRIBUTIONS

    _, out, _ = run("train", "--help")
    shown = " ".join(out.split())
    assert DISTRIBUTIONS
    assert all(
        name in shown.split("--distribution")[1].split("--steps")[0] for name in DISTRIBUTIONS
    )
    assert "uniform-length" not in shown


def test_tasks_lists_the_shipped_tasks(run: Run) -> None:
    code, out, _ = run("tasks")
    assert code == 0
    assert "binary-successor" in out.split()


def test_trace_shows_steps_and_result(run: Run) -> None:
    code, out, _ = run("trace", "binary-successor", "X1", "X1", "01")
    assert code == 0
    assert out.count("δ succ") == 1
    assert out.count("ι-match X1") == 2
    assert out.splitlines()[-1] == "depth 2: X1 X1 01 -> X0 X0 X0 01"


def test_trace_reads_a_program_from_a_file(run: Run, tmp_path: Path) -> None:
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
def test_wrong_arguments_give_one_line(
    run: Run, args: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(run(*args), *words)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (V.replace("=> X0 One", "-> X0 One"), "line 3"),
        (V.replace("X0 (succ m)", "X0 (succ n)"), "structural"),
        (V.replace("X1 m |", "Y m |"), "Y"),
        ("", "no function"),
    ],
    ids=["syntax", "not structural", "unknown constructor", "empty"],
)
def test_faulty_program_gives_one_line(run: Run, tmp_path: Path, source: str, word: str) -> None:
    (tmp_path / "p.v").write_text(source)
    refused(run("trace", tmp_path / "p.v", "One", "--function", "succ"), word)


def test_v_file_requires_function_option(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.v").write_text(V)
    refused(run("trace", tmp_path / "p.v", "One"), "--function")


def test_machine_that_does_not_parse_gives_one_line(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.asm").write_text(str(SUCCESSOR).replace("->", "=>", 1))
    refused(run("fidelity", model, "--machine", tmp_path / "m.asm"), "line")


def test_broken_checkpoint_gives_one_line(run: Run, model: Path, tmp_path: Path) -> None:
    for suffix, change in (
        (".safetensors", lambda b: b[: len(b) // 2]),
        (".json", lambda b: b[9:]),
    ):
        for each in (".safetensors", ".json"):
            data = model.with_suffix(each).read_bytes()
            (tmp_path / f"bad{each}").write_bytes(change(data) if each == suffix else data)
        refused(run("explain", tmp_path / "bad"), "bad")


@pytest.mark.parametrize("option", ["--html", "--json", "--save"])
def test_unwritable_target_is_refused_before_the_work(
    run: Run, model: Path, tmp_path: Path, option: str
) -> None:
    target = tmp_path / "none" / "out"
    refused(run("explain", model, option, target), "none")
    assert not target.parent.exists()


def test_diff_lists_the_shortest_difference_first(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.asm").write_text(str(SUCCESSOR))
    (tmp_path / "b.asm").write_text(str(capped(2)))
    code, out, _ = run("diff", tmp_path / "a.asm", tmp_path / "b.asm", "--max-length", 5)
    assert code == 0
    rows = [line for line in out.splitlines() if line.startswith("  X")]
    assert rows[0].split()[:4] == ["X1", "X1", "X1", "01"]
    _, out, _ = run("diff", tmp_path / "a.asm", tmp_path / "a.asm", "--max-length", 4)
    assert "They agree on 100" in out
    refused(run("diff", tmp_path / "a.asm", tmp_path / "b.asm"), "domain")


def test_fidelity_judges_the_ground_truth_machine(run: Run, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "f.json"
    args = ("--machine", "truth", "--max-length", 6, "--json", target)
    code, out, _ = run("fidelity", model, *args)
    assert code == 0
    overall = json.loads(target.read_text())["fidelity"][-1]
    assert overall["stratum"] == "all held out"
    assert f"0/{overall['n']}" in next(x for x in out.splitlines() if x.startswith("all held out"))
    assert overall["columns"]["match"]["hits"] == 0


@pytest.mark.slow
def test_explain_writes_report_numbers_and_explanation(
    run: Run, model: Path, tmp_path: Path
) -> None:
    page, data, saved = tmp_path / "r.html", tmp_path / "r.json", tmp_path / "r.ex"
    code, out, err = run("explain", model, "--html", page, "--json", data, "--save", saved)
    assert code == 0
    assert err.count("wrote ") == 3
    found = json.loads(data.read_text())
    assert found["verdict"] != "exact"
    assert found["verdict"].upper() in out
    assert "<svg" in page.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.ex", "r.html", "r.json"]
    code, out, _ = run("diff", saved, saved)
    assert code == 0
    assert "They agree on 100" in out


def test_train_writes_only_a_checkpoint(run: Run, tmp_path: Path) -> None:
    args = ("--max-length", 5, "--steps", 4, "--out", tmp_path / "mine")
    code, out, _ = run("train", "--task", "binary-successor", *args)
    assert code == 0
    assert "4 steps" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json", "mine.safetensors"]


def test_train_never_replaces_a_model_unasked(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    args = ("--max-length", 5, "--steps", 4, "--out", target)
    assert run("train", "--task", "binary-successor", *args)[0] == 0
    before = target.with_suffix(".safetensors").read_bytes()
    code, out, _ = run("train", "--task", "binary-successor", *args)
    assert code == 0
    assert "is there already" in out
    words = ("a model of binary-successor (natural order) is there already", "--overwrite")
    refused(run("train", "--task", "binary-predecessor", *args), *words)
    refused(run("train", "--task", "binary-successor", *args, "--seed", 1), *words)
    assert target.with_suffix(".safetensors").read_bytes() == before
    code, out, _ = run("train", "--task", "binary-successor", *args, "--seed", 1, "--overwrite")
    assert code == 0
    assert target.with_suffix(".safetensors").read_bytes() != before
    target.with_suffix(".json").write_text("{}")
    refused(run("train", "--task", "binary-successor", *args), "mine.json is there already")


def test_interrupted_training_says_how_to_resume(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recinterp.models.training.batches import Batches

    draw = Batches.__call__

    def interrupt(self: Batches, step: int) -> object:
        if step == 3:
            raise KeyboardInterrupt
        return draw(self, step)

    args = ("train", "--task", "binary-successor", "--max-length", 5, "--steps", 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "__call__", interrupt)
        code, _, err = run(*args, "--out", tmp_path / "mine")
    assert code == 130
    assert "it was interrupted. Hint: the same command resumes it." in err
    assert "Traceback" not in err
    code, out, _ = run(*args, "--out", tmp_path / "mine")
    assert code == 0
    assert "6 steps" in out


def test_interrupted_commands_say_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import recinterp as ri

    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ri, "load", interrupt)
    code, out, err = run("explain", "binary-successor-natural")
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in err


def test_a_folder_of_hugging_face_needs_a_task(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=8, n_positions=20, n_embd=8, n_layer=1, n_head=1,
        bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    capsys.readouterr()  # its own progress bar
    for command in (("explain", tmp_path), ("fidelity", tmp_path, "--machine", "truth")):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert "it does not record its task. Hint: give --task." in err.splitlines()[-1]


@pytest.mark.parametrize("encoding", ["cp1252", "cp932"])
@pytest.mark.slow
def test_every_command_prints_on_other_encodings(encoding: str, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for args in (
        ("tasks", "--models"),
        ("trace", "binary-successor", "X1", "X1", "01"),
        ("explain", "--help"),
        ("trace", "binary-successor", "ι", "≥"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "recinterp", *args],
            capture_output=True,
            env=environment,
            check=False,
        )
        assert done.returncode in (0, 2)
        assert b"Traceback" not in done.stderr
        (done.stdout + done.stderr).decode(encoding)


def test_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recinterp", "trace", "binary-successor", "X1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_show_writes_the_pages_of_a_saved_explanation(run: Run, tmp_path: Path) -> None:
    saved, name = tmp_path / "a.ex", "binary-successor-natural-depthcap3"
    explanation(domain=Domain(max_length=5), model_name=name).save(saved)
    step, html, plots = tmp_path / "step.html", tmp_path / "r.html", tmp_path / "plots"
    code, out, err = run("show", saved, "--html", html, "--step", step, "--plots", plots)
    assert code == 0, err
    assert "SHORTCUT" in out
    assert err.count("wrote ") == 5
    assert "succ (X1" in step.read_text()
    assert {p.name for p in plots.iterdir()} == {"heads.html", "fidelity.html", "depth.html"}
    refused(run("show", tmp_path / "none.ex"), "not an explanation")


def test_saved_explanation_is_not_taken_for_a_model(run: Run, tmp_path: Path) -> None:
    explanation().save(tmp_path / "a.ex")
    refused(run("explain", tmp_path / "a.ex"), "saved explanation", "recinterp show")
    refused(run("fidelity", tmp_path / "a.ex", "--machine", "truth"), "recinterp show")


@pytest.mark.slow
def test_output_that_is_not_utf8_has_question_marks(tmp_path: Path) -> None:
    explanation(domain=Domain(max_length=5)).save(tmp_path / "a.ex")
    done = subprocess.run(
        [sys.executable, "-m", "recinterp", "show", str(tmp_path / "a.ex")],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("cp1252")
    assert "SHORTCUT" in text
    assert "?" in text


def test_diff_writes_numbers(run: Run, tmp_path: Path) -> None:
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
