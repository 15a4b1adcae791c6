"""Training: plain torch on one thread, then the same weights in a hooked model.

    run = train(task, TrainConfig(max_depth=3), work="runs/capped")
    run.model, run.history[-1].exact
    run.save("checkpoints/mine")

The same recipe and seed give the same weights, bit for bit, on one machine; so does a run that was
killed and resumed, because a batch depends on (recipe, step) alone.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from recinterp.errors import ModelError
from recinterp.io import check_folder
from recinterp.models.architectures.decoder_only import DecoderOnly
from recinterp.models.architectures.encoder_decoder import EncoderDecoder
from recinterp.models.architectures.shape import Shape
from recinterp.models.backends import native
from recinterp.models.checkpoint import Checkpoint, attach_checkpoint, make_checkpoint, save
from recinterp.models.torch_threads import one_thread
from recinterp.models.training import resume
from recinterp.models.training.batches import (
    IGNORE,
    AnswerFunction,
    Batches,
    Teacher,
    build_sequence_targets,
    check_context,
    compute_n_ctx,
    get_answer_function,
    list_exclusions,
)
from recinterp.models.training.config import TrainConfig
from recinterp.tasks import Domain, Task
from recinterp.tasks.arguments import check_kind, check_task


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """Loss and accuracy over the steps since the row before; every example was fresh.

    Attributes:
        step: Steps done.
        loss: Mean cross entropy, in nats per token that the loss counts.
        exact: Share of the examples whose every output token was the most likely one, 0 to 1.
    """

    step: int
    loss: float
    exact: float


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A finished training run.

    Attributes:
        model: The trained model, hooked, in evaluation mode.
        history: Loss and accuracy, one row for every 50 steps.
        checkpoint: How the model is built, for which task, on what it was trained.
    """

    model: nn.Module
    history: tuple[HistoryRow, ...]
    checkpoint: Checkpoint

    def save(self, path: str | Path) -> Path:
        """Write PATH.safetensors and PATH.json, each whole or not at all.

        Args:
            path: Path of the checkpoint, with or without a suffix.

        Returns:
            Path of the JSON.

        Raises:
            NonFiniteWeightsError: A weight is NaN or infinite.
        """
        return save(self.model, path)

    def __repr__(self) -> str:
        """One line on each thing a reader needs: model, task, loss and accuracy over the steps."""
        lines = [
            f"TrainingRun of {self.checkpoint.name!r}",
            f"  task   {self.checkpoint.task.name}, {self.checkpoint.task.order} order",
            f"  model  {self.checkpoint.shape.describe()}",
        ]
        rows = {row.step: row for row in (*self.history[:1], *self.history[-1:])}.values()
        lines += [
            f"  step {row.step}: loss {row.loss:.4f} nats per token, {row.exact:.1%} exact"
            for row in rows
        ]
        return "\n".join(lines)


def train(
    task: Task,
    config: TrainConfig | None = None,
    *,
    teacher: Teacher | None = None,
    work: str | Path | None = None,
    progress: bool | None = None,
    name: str = "",
) -> TrainingRun:
    """Train a model on a task's function.

    Args:
        task: The task to learn.
        config: The recipe; None: the defaults.
        teacher: A Machine, or a function from tokens to tokens, to learn in place of the task's
            own function: a model whose fault is known.
        work: A folder for the state of the run, which is also saved when the run is interrupted; an
            unfinished run there is resumed. None: nothing is stored.
        progress: Whether to show a bar on stderr; None: only on a terminal.
        name: Name of the checkpoint; empty: the task's name.

    Returns:
        The trained model with its history and its checkpoint. The same recipe and seed give the
        same weights, bit for bit, on one machine.

    Raises:
        CheckpointError: `work` holds a run of another recipe.
        DomainError: `config.exclude` leaves out too many inputs to record.
        IncompatibleModelError: A sequence is longer than the context, or the teacher has no answer.
        ModelError: `config` is no TrainConfig.
        NonFiniteWeightsError: Training has diverged.
        RunInProgressError: Another run is training in `work`.
        UnwritableFileError: `work` cannot be written to, or has too little space.
    """
    operation = "train a model"
    check_task(task, operation)
    config = TrainConfig() if config is None else config
    hint = "pass ri.TrainConfig(steps=…), or None for the defaults"
    check_kind(config, TrainConfig, operation, "the config", hint, ModelError)
    domain = list_exclusions(config.domain, task)
    folder = _check_work(work)
    with one_thread(), nullcontext() if folder is None else resume.lock_run(folder):
        trainer = _Trainer(task, config, domain, folder, teacher)
        trainer.run(progress)
    weights = trainer.plain.export_weights()
    native.check_finite(weights, operation=f"train a model on {task.name}")
    model = native.build_hooked(trainer.plain.shape, weights)
    last = trainer.history[-1]
    summary = {"steps": last.step, "loss": last.loss, "exact": last.exact}
    checkpoint = make_checkpoint(
        name or task.name, trainer.plain.shape, task, domain, trainer.recorded_config, summary
    )
    attach_checkpoint(model, checkpoint)
    return TrainingRun(model=model, history=tuple(trainer.history), checkpoint=checkpoint)


def _check_work(work: object) -> Path | None:
    """The folder of a run, if one is named and can be written to. Errors as of `train`."""
    if work is None or work == "":
        return None
    check_kind(work, (str, Path), "train a model", "work", "pass a folder, or None", ModelError)
    if "\0" in str(work):
        raise ModelError("train a model", "work is no path", "pass a folder, or None")
    check_folder(folder := Path(str(work)))
    return folder


def derive_shape(task: Task, config: TrainConfig, answer: AnswerFunction | None = None) -> Shape:
    """Derive the sizes of the model that a recipe trains."""
    return Shape(
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        d_model=config.d_model,
        d_head=config.d_model // config.n_heads,
        d_mlp=config.d_mlp or 4 * config.d_model,
        n_ctx=config.n_ctx or compute_n_ctx(task, config, answer),
        d_vocab=1 + max(task.ids.values()),
        norm=config.norm,
        attn_only=config.attn_only,
        positions=config.positions,
        kind=config.architecture,
        start=task.ids.get("BOS", task.sep) if config.architecture == "encoder-decoder" else None,
    )


def build_untrained(shape: Shape, config: TrainConfig) -> DecoderOnly | EncoderDecoder:
    """Build an untrained model, drawn from torch's global generator."""
    plain = EncoderDecoder(shape) if shape.kind == "encoder-decoder" else DecoderOnly(shape)
    if config.embedding_std is not None:
        with torch.no_grad():
            for table in plain.list_embeddings():
                table.weight.mul_(config.embedding_std * shape.d_model**0.5)
    return plain


class _Trainer:
    """The state of one run: model, optimizer, history, and the folder it is stored in."""

    STEPS_PER_ROW = 50

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        domain: Domain,
        work: Path | None,
        teacher: Teacher | None,
    ) -> None:
        self.config, self.work = config, work
        self.recorded_config = config.to_json() | (
            {} if teacher is None else {"teacher": str(teacher)}
        )
        self.recipe = self.recorded_config | {"task": task.to_json(), "domain": domain.to_json()}
        answer = get_answer_function(task, teacher)
        self.batches = Batches(task, config, domain, answer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.plain = build_untrained(derive_shape(task, config, answer), config)
        self.optimizer = torch.optim.AdamW(
            self.plain.parameters(), weight_decay=config.weight_decay, fused=True
        )
        self.history: list[HistoryRow] = []
        self.window = (0.0, 0.0, 0)  # loss, exact examples and examples since the last row
        self.step = 0
        self._between_steps, self._saved = True, time.monotonic()
        if work is not None:
            check_folder(work, 8 * sum(4 * p.numel() for p in self.plain.parameters()))
            self._resume(work)

    def _resume(self, work: Path) -> None:
        state = resume.load_unfinished(work, self.recipe)
        if state is not None:
            resume.restore_tensors(self.plain, self.optimizer, state.tensors)
            self.history = [
                HistoryRow(step=int(step), loss=loss, exact=exact)
                for step, loss, exact in state.history
            ]
            self.step, self.window = state.step, state.window

    def run(self, progress: bool | None) -> None:
        """Do all the steps that are left."""
        from tqdm import tqdm

        hidden = None if progress is None else not progress
        try:
            self._run_steps(tqdm, hidden)
        except KeyboardInterrupt:
            if self.work and self._between_steps:  # else what was saved before is resumed
                self._save(self.work)
            raise

    def _run_steps(self, tqdm: Any, hidden: bool | None) -> None:
        with tqdm(initial=self.step, total=self.config.steps, disable=hidden, unit="step") as bar:
            while self.step < self.config.steps:
                self._one_step()
                if self.step % self.STEPS_PER_ROW == 0 or self.step == self.config.steps:
                    self._close_window()
                    bar.set_postfix(loss=self.history[-1].loss, exact=self.history[-1].exact)
                self._between_steps = True
                bar.update()
                if self.work and self._is_due():
                    self._save(self.work)

    def _is_due(self) -> bool:
        waited = time.monotonic() - self._saved
        return self.step % self.config.save_every == 0 or waited >= self.config.save_seconds

    def _one_step(self) -> None:
        ids, targets = self.batches(self.step)
        check_context(ids, self.plain.shape.n_ctx)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.step)
        real = self.plain.select_required(targets != IGNORE)
        logits = self.plain.compute_logits(self.plain.residual_at(ids, real))
        outputs = targets[real]
        whole = self.config.loss == "sequence"
        counted = build_sequence_targets(ids, targets)[real] if whole else outputs
        loss = F.cross_entropy(logits, counted, ignore_index=IGNORE)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._between_steps = False
        self.optimizer.step()
        self.step += 1
        wrong = (logits.detach().argmax(-1) != outputs) & (outputs != IGNORE)
        missed = set(real.nonzero()[:, 0][wrong].tolist())
        total, exact, n = self.window
        self.window = total + loss.item() * len(ids), exact + len(ids) - len(missed), n + len(ids)

    def _close_window(self) -> None:
        total, exact, n = self.window
        self.history.append(HistoryRow(step=self.step, loss=total / n, exact=exact / n))
        self.window = (0.0, 0.0, 0)

    def _save(self, work: Path) -> None:
        rows = tuple((row.step, row.loss, row.exact) for row in self.history)
        tensors = resume.collect_tensors(self.plain, self.optimizer)
        resume.save_unfinished(
            work,
            resume.UnfinishedRun(step=self.step, history=rows, window=self.window, tensors=tensors),
            self.recipe,
        )
        self._saved = time.monotonic()
