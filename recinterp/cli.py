"""The command line: one command for each public function of the library.

Results go to stdout, progress to stderr. What a user can get wrong ends in one line on stderr and
exit code 2; files are written whole or not at all.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recinterp.errors import (
    CheckpointError,
    InterruptedRunError,
    RecinterpError,
    TaskError,
    UnwritableFileError,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status

    from recinterp.explanation import Explanation
    from recinterp.machine import Machine
    from recinterp.models import TrainConfig
    from recinterp.tasks import Domain, Task

app = typer.Typer(
    help="Which algorithm did a small transformer learn, and where does it leave the recursion?",
    epilog="Example: recinterp explain binary-successor-natural-depthcap3 --html report.html",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[str, typer.Argument(help="The name of a shipped checkpoint, or a path to one.")]
TaskName = Annotated[
    str | None, typer.Option("--task", help="A shipped task, or a path to a .v file.")
]
Function = Annotated[
    str | None, typer.Option("--function", help="The function, if --task is a .v file.")
]
Order = Annotated[str, typer.Option(help="How terms are written: natural or reverse.")]
MaxLength = Annotated[
    int | None,
    typer.Option(help="The longest input, in tokens. Default: as the model was trained."),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Vocab = Annotated[
    Path | None,
    typer.Option(
        "--vocab", help="A JSON file with token ids, specials and template; see recinterp vocab."
    ),
]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")]


def print_version(requested: bool) -> None:
    """Print the version and end, where --version is given."""
    if requested:
        import recinterp

        typer.echo(f"recinterp {recinterp.__version__}")
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", is_eager=True, callback=print_version
        ),
    ] = False,
) -> None:
    """Options that stand before a command."""


@app.command(epilog="Example: recinterp explain binary-successor-natural --json out.json")
def explain(
    model: Model,
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    vocab: Vocab = None,
    max_length: MaxLength = None,
    html: Html = None,
    json_file: Json = None,
    save: Annotated[
        Path | None, typer.Option(help="Save the explanation, for the commands show and diff.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Find the algorithm that a model runs, and where it goes wrong."""
    from recinterp import view

    _check_writable(html, json_file, save)
    ex = _explain_model(model, _resolve_task(task, function, order), max_length, seed, vocab)
    _print_result(view.explanation_rich(ex))
    _write_report(ex, html, json_file)
    if save:
        ex.save(save)
    _list_written(html, json_file, save)


@app.command(epilog="Example: recinterp show seed0.ex --html seed0.html --ablate heads.html")
def show(
    saved: Annotated[Path, typer.Argument(help="An explanation written by explain --save.")],
    model: Annotated[
        str | None, typer.Option(help="Its model. Default: the shipped model that it names.")
    ] = None,
    html: Html = None,
    json_file: Json = None,
    ablate: Annotated[
        Path | None, typer.Option(help="Write a page for ablating single heads and pairs of heads.")
    ] = None,
    step: Annotated[
        Path | None, typer.Option(help="Write a page that steps through the counterexample.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Write the figures into this folder, a page each.")
    ] = None,
) -> None:
    """Show a saved explanation, and write its pages."""
    import recinterp as ri
    from recinterp import view

    _check_writable(html, json_file, ablate, step)
    ex = ri.Explanation.load(saved)
    if ablate or step or plots:
        ex = ri.Explanation.load(saved, model=_load_model(model or ex.model_name))
    _print_result(view.explanation_rich(ex))
    _write_report(ex, html, json_file)
    with _show_progress(f"drawing {saved}"):
        pages = view.explanation_pages(ex, ablate, step, plots)
    _list_written(html, json_file, *pages)


@app.command(
    epilog="Example: recinterp train binary-successor-natural-depthcap3 | "
    "recinterp train --task binary-successor --max-depth 5 --out runs/mine"
)
def train(
    name: Annotated[
        str | None, typer.Argument(help="A shipped checkpoint, whose recipe is repeated.")
    ] = None,
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    max_length: Annotated[int, typer.Option(help="The longest training input, in tokens.")] = 16,
    max_depth: Annotated[
        int | None, typer.Option(help="The deepest training input, in nested recursive calls.")
    ] = None,
    distribution: Annotated[
        str, typer.Option(help="Of the training inputs: balanced, natural or uniform.")
    ] = "balanced",
    architecture: Annotated[
        str, typer.Option(help="Of the model: decoder-only or encoder-decoder.")
    ] = "decoder-only",
    layers: Annotated[
        int, typer.Option(help="Number of layers; of an encoder-decoder, in each half.")
    ] = 2,
    steps: Annotated[int | None, typer.Option(help="Number of training steps.")] = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where to save the model. Default: runs/NAME.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that is there already.")
    ] = False,
) -> None:
    """Train a model; an interrupted training is resumed.

    The model is trained by the recipe of a shipped checkpoint (name), or on a task (--task) by a
    recipe of your own.
    """
    from dataclasses import replace

    from recinterp.models import TrainConfig
    from recinterp.models.training.recipes import get_recipe

    own_task = _resolve_task(task, function, order)
    if (name is None) == (own_task is None):
        raise TaskError(
            "train a model", "exactly one of NAME and --task is needed", "give one of them"
        )
    if own_task is None:
        recipe = get_recipe(str(name))
        trained, config, label = recipe.task, recipe.config, str(name)
    else:
        trained, label = own_task, f"{own_task.name}-{order}"
        config = TrainConfig(
            architecture=architecture,
            n_layers=layers,
            max_length=max_length,
            max_depth=max_depth,
            distribution=distribution,
            seed=seed,
        )
    config = config if steps is None else replace(config, steps=steps)
    target = out or Path("runs") / label
    if overwrite or not _is_trained(trained, config, target):
        _train_and_save(trained, config, target)


def _is_trained(task: Task, config: TrainConfig, target: Path) -> bool:
    """Whether the model is there already. Raises CheckpointError where another file is."""
    from recinterp.io import read_text
    from recinterp.models.checkpoint import Checkpoint
    from recinterp.models.training.batches import list_exclusions

    stem = target.with_suffix("") if target.suffix in (".json", ".safetensors") else target
    there = [stem.with_name(stem.name + end) for end in (".json", ".safetensors")]
    if not any(path.exists() for path in there):
        return False
    hint = "pass another --out, or --overwrite to replace it"
    try:
        known = Checkpoint.from_json(json.loads(read_text(there[0])))
    except (KeyError, TypeError, ValueError, RecinterpError):
        found = next(path for path in there if path.exists())
        raise CheckpointError(f"train {target}", f"{found} is there already", hint) from None
    recipe = json.loads(json.dumps(config.to_json()))
    same = known.task == task and known.domain == list_exclusions(config.domain, task)
    if not same or known.recipe != recipe:
        what = f"a model of {known.task.name} ({known.task.order} order) is there already"
        raise CheckpointError(f"train {target}", f"{what}, of another recipe", hint)
    typer.echo(f"{there[0]} is there already; --overwrite trains it again")
    return True


def _train_and_save(task: Task, config: TrainConfig, target: Path) -> None:
    """Train in a work folder beside the target, save, and remove the folder."""
    from recinterp.models import train
    from recinterp.models.training import resume

    if target.is_dir():
        raise UnwritableFileError(f"write {target}", "it is a folder", "pass a path in it")
    work = target.with_name(target.name + ".work")
    try:
        run = train(task, config, work=work, name=target.name)
        written = run.save(target)
    except KeyboardInterrupt:
        saved = (work / resume.STATE_FILE).exists()
        go_on = "the same command resumes it" if saved else "nothing was saved yet"
        raise InterruptedRunError("finish the training", "it was interrupted", go_on) from None
    resume.delete_unfinished(work)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()
    last = run.history[-1]
    typer.echo(
        f"{written}: {last.step} steps, loss {last.loss:.4f}, "
        f"{last.exact:.1%} of the last training examples exact"
    )


@app.command(epilog="Example: recinterp tasks --models")
def tasks(
    models: Annotated[bool, typer.Option(help="List the shipped checkpoints as well.")] = False,
) -> None:
    """List the shipped tasks, each with an example."""
    from recinterp.tasks.library import SHIPPED_TASKS

    width = max(map(len, SHIPPED_TASKS))
    for name in sorted(SHIPPED_TASKS):
        typer.echo(f"{name:<{width}}  {SHIPPED_TASKS[name].example}")
    if models:
        from recinterp.models import list_shipped

        typer.echo("\n".join(["", "checkpoints:", *list_shipped()]))


@app.command(epilog="Example: recinterp vocab --task binary-successor models/gpt2-succ > ids.json")
def vocab(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder with a tokenizer, from which to guess the ids.")
    ] = None,
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
) -> None:
    """Print the file of token ids that --vocab reads.

    Ids that are still to be filled in are "?"; `null` stands for a special that the model does not
    have. With a tokenizer's folder the ids are guessed, and a worked example is shown on stderr.
    """
    from recinterp.tasks.vocab_file import describe_vocab, guess_vocab

    meant = _resolve_task(task, function, order)
    if meant is None:
        raise TaskError("print a file of token ids", "no task is named", "give --task")
    found = describe_vocab(meant) if folder is None else guess_vocab(meant, folder)
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    _describe_vocab_file(meant, found)


def _describe_vocab_file(task: Task, found: dict[str, Any]) -> None:
    """On stderr: a worked example where every id is known, else what is still to be filled in."""
    from recinterp.tasks.vocab_file import describe_prompt, list_unknown

    unknown = list_unknown(found)
    if unknown:
        text = f"to be filled in: {', '.join(unknown)}"
    else:
        try:
            text = describe_prompt(
                task.with_vocab(found["ids"], **found["specials"], template=found["template"])
            )
        except TaskError as error:
            text = f"to be mended: {error.problem}"
    _stderr_console().print(text, highlight=False, markup=False, soft_wrap=True)


@app.command(epilog="Example: recinterp trace binary-successor X1 X1 01")
def trace(
    task: Annotated[str, typer.Argument(help="A shipped task, or a path to a .v file.")],
    tokens: Annotated[list[str], typer.Argument(help="An input, token by token.")],
    function: Annotated[
        str | None, typer.Option("--function", help="The function, if the task is a .v file.")
    ] = None,
    order: Order = "natural",
) -> None:
    """Reduce one input by the true program, step by step.

    Every delta, beta and iota step of the reduction is printed.
    """
    program = _load_task(task, function, order)
    program.well_formed(tokens)
    typer.echo(str(program.trace(tokens)))
    result = f"{' '.join(tokens)} -> {' '.join(program.apply(tokens))}"
    typer.echo(f"depth {program.depth(tokens)}: {result}")


@app.command(epilog="Example: recinterp fidelity binary-successor-natural --machine mine.asm")
def fidelity(
    model: Model,
    machine: Annotated[
        str, typer.Option(help="A file with a machine's text, or `truth` for the ground truth.")
    ],
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    vocab: Vocab = None,
    max_length: MaxLength = None,
    json_file: Json = None,
) -> None:
    """Judge how well a machine predicts a model, on held-out inputs."""
    from dataclasses import asdict

    import recinterp as ri
    from recinterp.view.report.data import fidelity_rows
    from recinterp.view.report.text import fidelity_tables

    _check_writable(json_file)
    loaded = _load_model(model)
    meant = _resolve_ids(_resolve_task(task, function, order), loaded, model, vocab)
    hypothesis, domain = _load_machine(machine, meant), _make_domain(max_length)
    with _show_progress(f"judging {machine} against {model}"):
        judged = ri.fidelity(loaded, meant, hypothesis, domain=domain)
    rows = fidelity_rows(judged)
    _print_result(fidelity_tables(rows))
    if json_file:
        _write_json(json_file, {"fidelity": [asdict(row) for row in rows]})


@app.command(
    epilog="Example: recinterp diff a.asm b.asm --max-length 12 | recinterp diff seed0.ex seed1.ex"
)
def diff(
    a: Annotated[
        str,
        typer.Argument(
            help="A machine's text, a saved explanation, a checkpoint, or `truth` for the "
            "ground truth of the task."
        ),
    ],
    b: Annotated[str, typer.Argument(help="What the first is compared with: any of these.")],
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    max_length: MaxLength = None,
    json_file: Json = None,
    seed: Seed = 0,
) -> None:
    """Find where two machines, or two explanations, differ."""
    import recinterp as ri
    from recinterp.io import to_plain
    from recinterp.view.report.text import diff_text

    _check_writable(json_file)
    known = _resolve_task(task, function, order)
    left = _load_side(a, known, max_length, seed)
    right = _load_side(b, known or getattr(left, "task", None), max_length, seed)
    with _show_progress(f"comparing {a} and {b}"):
        comparison = ri.diff(left, right, domain=_make_domain(max_length))
    _print_result(diff_text(comparison, (a, b)))
    if json_file:
        _write_json(json_file, {"a": a, "b": b, **to_plain(comparison)})
        _list_written(json_file)


def main() -> None:
    """Run the command line; every error a user can cause is one line and exit code 2."""
    _replace_what_cannot_be_encoded()
    interrupted = 130
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False, prog_name="recinterp")
        if code == interrupted:  # typer ends so, and prints nothing
            _print_error("interrupted")
    except RecinterpError as e:
        code = _print_error(str(e), interrupted if isinstance(e, InterruptedRunError) else 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _print_error("interrupted", interrupted)
    except Exception as e:
        message = getattr(e, "format_message", None)  # a mistake in the arguments themselves
        if message is None:
            raise
        code = _print_error(message() or type(e).__name__) if message() else 0
    sys.exit(code if isinstance(code, int) else 0)


def _replace_what_cannot_be_encoded() -> None:
    """A stream that is not UTF-8 shows a question mark for ≥ or ι, rather than ending the run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _print_error(message: str, code: int = 2) -> int:
    first, *_ = message.splitlines() or [""]
    print(f"error: {first}", file=sys.stderr)  # noqa: T201
    return code


def _explain_model(
    name: str, task: Task | None, max_length: int | None, seed: int, vocab: Path | None = None
) -> Explanation:
    import recinterp as ri

    model = _load_model(name)
    meant = _resolve_ids(task, model, name, vocab)
    with _show_progress(f"explaining {name}") as status:
        return ri.explain(
            model,
            meant,
            domain=_make_domain(max_length),
            seed=seed,
            progress=lambda stage: status.update(f"explaining {name}: {stage} …"),
        )


def _load_model(name: str) -> Any:
    """A model by its name or path. Raises CheckpointError, also for a saved explanation."""
    import recinterp as ri

    path = Path(name)
    if path.is_file() and _is_explanation(path):
        raise CheckpointError(
            f"load {name}",
            "it is a saved explanation, and not a model",
            f"show it with recinterp show {name}",
        )
    return ri.load(name)


def _recorded_task(model: Any, name: str) -> Task:
    """The task that a loaded model's checkpoint records."""
    checkpoint = getattr(model, "checkpoint", None)
    if checkpoint is None:
        raise TaskError(f"use {name}", "it does not record its task", "give --task")
    task: Task = checkpoint.task
    return task


def _resolve_ids(task: Task | None, model: Any, name: str, vocab: Path | None) -> Task:
    """The task with the token ids of the model: of the file, or of the checkpoint.

    Raises TaskError, which shows the file to write, for a model that records no ids.
    """
    from recinterp.tasks.vocab_file import describe_prompt, describe_vocab, read_vocab

    task = task or _recorded_task(model, name)
    if vocab is not None:
        given = read_vocab(task, vocab)
        _stderr_console().print(
            describe_prompt(given), highlight=False, markup=False, soft_wrap=True
        )
        return given
    if getattr(model, "checkpoint", None) is None:
        shown = json.dumps(describe_vocab(task), ensure_ascii=False)
        hint = f"recinterp vocab --task … > ids.json, then --vocab ids.json; the file is {shown}"
        raise TaskError(f"use {name}", "it does not record its token ids", hint)
    return task


def _make_domain(max_length: int | None) -> Domain | None:
    from recinterp.tasks import Domain

    return None if max_length is None else Domain(max_length=max_length)


def _resolve_task(name: str | None, function: str | None, order: str) -> Task | None:
    return None if name is None else _load_task(name, function, order)


def _load_task(name: str, function: str | None, order: str) -> Task:
    """A shipped task, or one from a .v file."""
    import recinterp as ri

    if not name.endswith(".v"):
        return ri.task(name, order=order)
    if function is None:
        raise TaskError(f"read {name}", "no function of it is named", "give --function")
    return ri.Task.from_gallina(Path(name), function=function, order=order)


def _load_machine(name: str, task: Task) -> Machine:
    """A machine from a file; the task's ground truth for the name `truth`."""
    from recinterp.io import read_text
    from recinterp.machine import Machine

    return task.machine if name == "truth" else Machine.parse(read_text(Path(name)))


def _load_side(name: str, task: Task | None, max_length: int | None, seed: int) -> Any:
    """One side of `diff`: the ground truth, a machine's text, an explanation, or a model's."""
    import recinterp as ri
    from recinterp.io import read_text

    path = Path(name)
    if name == "truth":
        if task is None:
            raise TaskError("compare with the ground truth", "no task is known", "give --task")
        return task.machine
    if path.suffix in (".asm", ".txt"):
        return ri.Machine.parse(read_text(path))
    if path.is_file() and _is_explanation(path):
        return ri.Explanation.load(path)
    return _explain_model(name, task, max_length, seed)


def _is_explanation(path: Path) -> bool:
    with path.open("rb") as file:
        return b"recinterp-explanation" in file.read(200)


def _check_writable(*paths: Path | None) -> None:
    from recinterp.io import check_writable

    for path in paths:
        check_writable(path)


def _write_report(ex: Explanation, html: Path | None, json_file: Path | None) -> None:
    from recinterp import view

    if html:
        view.explanation_html(ex, html)
    if json_file:
        _write_json(json_file, view.explanation_json(ex))


def _write_json(path: Path, data: object) -> None:
    from recinterp.io import write_text

    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _list_written(*paths: Path | None) -> None:
    for path in paths:
        if path:
            _stderr_console().print(f"wrote {path}", highlight=False)


def _print_result(result: RenderableType | None, width: int = 110) -> None:
    """Print to a terminal in colour, anywhere else as plain text of a width."""
    from rich.console import Console

    from recinterp.view.report.text import plain_text

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(result)
    elif result is not None:
        typer.echo(plain_text(result, width), nl=False)


def _stderr_console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _show_progress(activity: str) -> AbstractContextManager[Status]:
    """A spinner on stderr while something runs; nothing where stderr is no terminal."""
    return _stderr_console().status(f"{activity} …")
