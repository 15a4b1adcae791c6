"""Training: the recipe, its seed, and a run that is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import recinterp as ri
from recinterp.errors import (
    CheckpointError,
    DomainError,
    IncompatibleModelError,
    ModelError,
    RunInProgressError,
    UnwritableFileError,
)
from recinterp.models import TrainingRun
from recinterp.models.backends import native
from recinterp.models.training import resume
from recinterp.models.training.batches import (
    IGNORE,
    Batches,
    build_sequence_targets,
    get_answer_function,
)
from recinterp.tasks import FullDepth, Listed
from tests.models.tiny import TINY

pytestmark = pytest.mark.slow


def weights(run: TrainingRun) -> dict[str, torch.Tensor]:
    return native.read_weights(run.model, run.checkpoint.shape)


def same(a: TrainingRun, b: TrainingRun) -> bool:
    ours, theirs = weights(a), weights(b)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_targets_are_the_output_and_the_end(task: ri.Task) -> None:
    domain = ri.Domain(2, exclude=Listed(frozenset({("01",), ("X0", "01")})))
    ids, targets = Batches(task, ri.TrainConfig(max_length=2, batch_size=1), domain)(0)
    tokens = [task.ids[t] for t in ("X1", "01", "SEP", "X0", "X0", "01", "EOS")]
    assert ids.tolist() == [tokens[:-1]]
    assert targets.tolist() == [[IGNORE, IGNORE, *tokens[3:]]]


def test_sequence_targets_are_all_tokens_but_the_first(task: ri.Task) -> None:
    domain = ri.Domain(2, exclude=Listed(frozenset({("01",), ("X0", "01")})))
    ids, targets = Batches(task, ri.TrainConfig(max_length=2, batch_size=1), domain)(0)
    tokens = [task.ids[t] for t in ("X1", "01", "SEP", "X0", "X0", "01", "EOS")]
    assert build_sequence_targets(ids, targets).tolist() == [tokens[1:]]


def test_the_loss_on_the_whole_sequence_also_learns_the_input(
    run: TrainingRun, task: ri.Task
) -> None:
    whole = ri.train(task, ri.TrainConfig(steps=150, loss="sequence", **TINY), progress=False)
    assert whole.history[-1].exact > whole.history[0].exact
    ids, targets = Batches(task, ri.TrainConfig(**TINY), ri.Domain(5))(1000)
    prompt = (targets == IGNORE) & (ids != task.pad)
    losses = [
        F.cross_entropy(model(ids)[prompt], build_sequence_targets(ids, targets)[prompt]).item()
        for model in (run.model, whole.model)
    ]
    assert losses[1] < losses[0] / 2


def test_recipes_record_later_fields_only_where_not_the_default() -> None:
    assert "loss" not in ri.TrainConfig().to_json()
    assert ri.TrainConfig(loss="sequence").to_json()["loss"] == "sequence"


def test_padding_has_no_target(task: ri.Task) -> None:
    ids, targets = Batches(task, ri.TrainConfig(max_length=6), ri.Domain(6))(3)
    assert ids.shape == targets.shape
    assert ids.shape[0] == 64
    assert bool((targets[ids == task.pad] == IGNORE).all())
    assert int((targets == task.eos).sum()) == 64


@pytest.mark.backend
def test_runs_and_checkpoints_are_shown_on_one_screen(run: TrainingRun) -> None:
    for text in (repr(run), repr(run.checkpoint)):
        assert "tiny" in text
        assert "decoder-only, 2 layers, 2 heads" in text
        assert len(text.splitlines()) < 10
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.backend
def test_training_lowers_the_loss(run: TrainingRun) -> None:
    first, last = run.history[0], run.history[-1]
    assert last.step == 150
    assert last.loss < first.loss / 2
    assert last.exact > first.exact


@pytest.mark.backend
def test_weights_depend_only_on_the_seed(task: ri.Task) -> None:
    config = ri.TrainConfig(steps=12, **TINY)
    torch.manual_seed(1)
    first = ri.train(task, config, progress=False)
    torch.manual_seed(2)  # the caller's generator does not matter
    assert same(first, ri.train(task, config, progress=False))
    assert not same(first, ri.train(task, replace(config, seed=1), progress=False))


@pytest.mark.backend
@pytest.mark.parametrize(
    "changed",
    [
        {"positions": "rotary", "n_layers": 1},
        {"positions": "none", "n_layers": 3, "loss": "sequence", "embedding_std": 0.5},
        {"attn_only": True, "norm": "LNPre", "n_layers": 6},
    ],
)
def test_other_recipes_learn_and_round_trip(
    task: ri.Task, tmp_path: Path, changed: dict[str, object]
) -> None:
    config = ri.TrainConfig(**{**TINY, "steps": 80, **changed})
    run = ri.train(task, config, progress=False)
    assert run.history[-1].loss < run.history[0].loss
    run.save(tmp_path / "mine")
    model = ri.load(tmp_path / "mine")
    inputs = list(task.inputs(5))
    assert ri.predict(model, task, inputs) == ri.predict(run.model, task, inputs)
    assert dict(model.checkpoint.recipe) == config.to_json()
    assert native.read_shape(model) == run.checkpoint.shape == model.checkpoint.shape


def test_training_leaves_threads_and_random_generator_unchanged(task: ri.Task) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    ri.train(task, ri.TrainConfig(steps=2, **TINY), progress=False)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
    assert torch.get_num_threads() == threads


CHILD = """
import sys
import recinterp as ri
from recinterp.models.training import trainer as training
step = training._Trainer._one_step
def watched(self):
    step(self)
    print(self.step, flush=True)
training._Trainer._one_step = watched
task = ri.task("binary-successor", order="natural")
ri.train(task, ri.TrainConfig(steps=100000, **{tiny!r}), work=sys.argv[1], progress=False)
"""


def test_a_killed_run_loses_at_most_one_save_interval_and_resumes_exactly(
    task: ri.Task, tmp_path: Path
) -> None:
    work, every = tmp_path / "work", int(TINY["save_every"])
    endless = ri.TrainConfig(steps=100_000, **TINY)
    command = [sys.executable, "-c", CHILD.format(tiny=TINY), str(work)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        seen = 0
        for line in child.stdout:
            seen = int(line)
            if seen >= 3 * every + every // 2:
                break
        child.send_signal(signal.SIGKILL)
        seen = max([seen, *map(int, child.stdout.read().split())])
    assert child.returncode == -signal.SIGKILL
    recipe = endless.to_json() | {"task": task.to_json(), "domain": ri.Domain(5).to_json()}
    state = resume.load_unfinished(work, recipe)
    assert state is not None
    assert seen - every <= state.step <= seen
    # The killed run is resumed under its own recipe; the rest of the steps are the same steps.
    assert_resumed_equals_uninterrupted(task, tmp_path)


def assert_resumed_equals_uninterrupted(task: ri.Task, tmp_path: Path) -> None:
    config, work = ri.TrainConfig(steps=37, **TINY), tmp_path / "short"

    class Killed(Exception):
        pass

    def die(self: object, step: int) -> None:
        raise Killed

    whole = ri.train(task, config, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        ask = Batches.__call__
        patch.setattr(
            Batches,
            "__call__",
            lambda self, step: ask(self, step) if step < 28 else die(self, step),
        )
        with pytest.raises(Killed):
            ri.train(task, config, work=work, progress=False)
    assert (work / resume.STATE_FILE).exists()
    begun = time.perf_counter()
    resumed = ri.train(task, config, work=work, progress=False)
    assert time.perf_counter() - begun < 60
    assert same(whole, resumed)
    assert resumed.history == whole.history


def test_another_recipe_in_the_same_folder_raises(task: ri.Task, tmp_path: Path) -> None:
    config = ri.TrainConfig(steps=10, **TINY)
    ri.train(task, config, work=tmp_path, progress=False)
    with pytest.raises(CheckpointError, match="another recipe"):
        ri.train(task, replace(config, seed=4), work=tmp_path, progress=False)


def test_a_damaged_state_raises_and_is_not_overwritten(task: ri.Task, tmp_path: Path) -> None:
    (tmp_path / resume.STATE_FILE).write_bytes(b"\x00" * 40)
    with pytest.raises(CheckpointError, match="cannot be read"):
        ri.train(task, ri.TrainConfig(steps=10, **TINY), work=tmp_path, progress=False)
    assert (tmp_path / resume.STATE_FILE).read_bytes() == b"\x00" * 40


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    resume.write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnwritableFileError, match="no space"):
        resume.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_learning_rate_warms_up_and_decays_to_zero() -> None:
    config = ri.TrainConfig(steps=1000)
    rates = [config.learning_rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(2e-5)
    assert max(rates) == rates[100] == pytest.approx(2e-3)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[-1] < 1e-7


def test_training_inputs_are_in_the_domain(task: ri.Task) -> None:
    config = ri.TrainConfig(max_length=7, max_depth=2, exclude=FullDepth(task, 3))
    batches = Batches(task, config, ri.Domain(7, 2, config.exclude))
    inputs = [tokens for step in range(0, 100, 25) for tokens in batches._draw(step)]
    assert len({tuple(tokens) for tokens in inputs}) > 60
    assert max(map(task.depth, inputs)) == 2
    assert all(len(tokens) <= 7 for tokens in inputs)
    assert ["X1", "X1", "01"] not in inputs
    assert ["X1", "01"] in inputs


def test_a_users_predicate_is_recorded_as_a_list(task: ri.Task, tmp_path: Path) -> None:
    tiny = TINY | {"max_length": 3}
    config = ri.TrainConfig(steps=3, exclude=lambda tokens: tokens[0] == "X1", **tiny)
    run = ri.train(task, config, progress=False)
    run.save(tmp_path / "mine")
    domain = ri.load(tmp_path / "mine").checkpoint.domain
    assert list(domain.inputs(task)) == [
        ["01"],
        ["X0", "01"],
        ["X0", "X0", "01"],
        ["X0", "X1", "01"],
    ]


def test_a_predicate_that_excludes_too_many_inputs_raises(task: ri.Task) -> None:
    config = ri.TrainConfig(steps=3, max_length=16, exclude=lambda tokens: tokens[0] == "X1")
    with pytest.raises(DomainError, match="no finite description"):
        ri.train(task, config, progress=False)


def test_too_small_a_context_raises(task: ri.Task) -> None:
    with pytest.raises(IncompatibleModelError, match="n_ctx is 6"):
        ri.train(task, ri.TrainConfig(steps=3, n_ctx=6, **TINY), progress=False)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"architecture": "encoder-only"}, "no architecture 'encoder-only'.*decoder-only or enc"),
        ({"architecture": "encoder-decoder", "loss": "sequence"}, "has no loss 'sequence'"),
        ({"architecture": "encoder-decoder", "positions": "rotary"}, "no positions 'rotary'"),
        ({"steps": 0}, "steps is 0"),
        ({"positions": "sine"}, "no positions 'sine'.*learned or rotary or none"),
        ({"norm": "RMS"}, "no norm 'RMS'"),
        ({"positions": "rotary", "d_model": 6, "n_heads": 2}, "turn pairs of them"),
        ({"loss": "tokens"}, "no loss 'tokens'.*output or sequence"),
        ({"d_model": 65}, "not a multiple of n_heads"),
    ],
)
def test_an_invalid_recipe_raises(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        ri.TrainConfig(**changes)


def test_the_progress_bar_is_on_stderr_and_only_on_request(
    task: ri.Task, capsys: pytest.CaptureFixture[str]
) -> None:
    ri.train(task, ri.TrainConfig(steps=2, **TINY))
    assert capsys.readouterr() == ("", "")
    ri.train(task, ri.TrainConfig(steps=2, **TINY), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err


def test_a_teacher_replaces_the_function_and_its_outputs_are_checked() -> None:
    task = ri.task("binary-successor")
    config = ri.TrainConfig(max_length=3, d_model=16, steps=2)
    run = ri.train(task, config, teacher=lambda x: x, progress=False)
    assert "teacher" in run.checkpoint.recipe
    assert get_answer_function(task, task.machine)(["X1", "01"]) == ["X0", "X0", "01"]
    for teacher in (lambda x: ["Z"], lambda x: None, 5):
        with pytest.raises(IncompatibleModelError, match="teacher"):
            ri.train(task, config, teacher=teacher, progress=False)


def test_a_second_run_in_one_folder_is_refused(task: ri.Task, tmp_path: Path) -> None:
    config = ri.TrainConfig(steps=10, **TINY)
    with (
        resume.lock_run(tmp_path),
        pytest.raises(RunInProgressError, match=f"process {os.getpid()} is training there"),
    ):
        ri.train(task, config, work=tmp_path, progress=False)
    assert not (tmp_path / resume.LOCK_FILE).exists()
    ri.train(task, config, work=tmp_path, progress=False)
    (tmp_path / resume.LOCK_FILE).write_text("12345")  # left by a process that was killed
    ri.train(task, config, work=tmp_path, progress=False)


def test_a_run_is_saved_by_time_as_well_as_by_step(task: ri.Task, tmp_path: Path) -> None:
    tiny = TINY | {"save_every": 1000}
    for seconds, saved in ((1000.0, False), (0.0, True)):
        work = tmp_path / str(seconds)
        ri.train(
            task, ri.TrainConfig(steps=3, save_seconds=seconds, **tiny), work=work, progress=False
        )
        assert (work / resume.STATE_FILE).exists() == saved


def test_an_interrupted_run_is_saved_and_resumes_exactly(task: ri.Task, tmp_path: Path) -> None:
    config = ri.TrainConfig(steps=12, **TINY | {"save_every": 1000})
    whole = ri.train(task, config, progress=False)
    draw = Batches.__call__

    def interrupt(self: Batches, step: int) -> object:
        if step == 7:
            raise KeyboardInterrupt
        return draw(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "__call__", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ri.train(task, config, work=tmp_path, progress=False)
    recipe = config.to_json() | {"task": task.to_json(), "domain": ri.Domain(5).to_json()}
    state = resume.load_unfinished(tmp_path, recipe)
    assert state is not None
    assert state.step == 7
    resumed = ri.train(task, config, work=tmp_path, progress=False)
    assert same(whole, resumed)
    assert resumed.history == whole.history


def test_an_unwritable_folder_is_refused_before_training(
    task: ri.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batches, "__call__", lambda self, step: pytest.fail("it has begun"))
    config = ri.TrainConfig(steps=10, **TINY)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableFileError, match="is a file"):
        ri.train(task, config, work=tmp_path / "file" / "work", progress=False)
    with pytest.raises(UnwritableFileError, match="cannot be written to"):
        ri.train(task, config, work="/proc/nothing/work", progress=False)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(UnwritableFileError, match=r"MiB are needed and 0\.0 MiB are free"):
        ri.train(task, config, work=tmp_path / "work", progress=False)
