"""The command line: the same as the library, one command per public function.

Results go to stdout, progress to stderr. What a user can get wrong ends in one line on stderr and
exit code 2; files are written whole or not at all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recinterp.errors import RecinterpError, TaskError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from recinterp.explanation import Explanation
    from recinterp.machine import Machine
    from recinterp.tasks import Domain, Task

app = typer.Typer(
    help="Which algorithm did a small transformer learn, and where does it leave the recursion?",
    epilog="Example: recinterp explain binary-successor-natural-depthcap3 --html report.html",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WIDTH = 110  # of what is printed where there is no terminal
Model = Annotated[str, typer.Argument(help="A shipped checkpoint's name, or a path to one.")]
TaskName = Annotated[
    str | None, typer.Option("--task", help="A shipped task, or a path to a .v file.")
]
Function = Annotated[
    str | None, typer.Option("--function", help="The function, where --task is a .v file.")
]
Order = Annotated[str, typer.Option(help="How terms are written: natural or reverse.")]
MaxLength = Annotated[
    int | None,
    typer.Option(help="The longest input asked about, in tokens; default: as it was trained."),
]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")]


@app.command(epilog="Example: recinterp explain binary-successor-natural --json out.json")
def explain(
    model: Model,
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    max_length: MaxLength = None,
    html: Html = None,
    json_file: Json = None,
    save: Annotated[
        Path | None, typer.Option(help="Save the explanation, to load or diff later.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Find the algorithm a model runs, where it departs from the truth, and how sure that is."""
    from recinterp import view
    from recinterp.io import check_writable

    for path in (html, json_file, save):
        check_writable(path)
    ex = _explained(model, _task(task, function, order), max_length, seed)
    _show(view.explanation_rich(ex))
    if html:
        view.explanation_html(ex, html)
    if json_file:
        _write_json(json_file, view.explanation_json(ex))
    if save:
        ex.save(save)
    _wrote(html, json_file, save)


@app.command(epilog="Example: recinterp show seed0.ex --html seed0.html --ablate heads.html")
def show(
    saved: Annotated[Path, typer.Argument(help="An explanation written by explain --save.")],
    model: Annotated[
        str | None, typer.Option(help="Its model; default: the shipped one it names.")
    ] = None,
    html: Html = None,
    json_file: Json = None,
    ablate: Annotated[
        Path | None, typer.Option(help="Write a page of heads to switch off: singles and pairs.")
    ] = None,
    step: Annotated[
        Path | None, typer.Option(help="Write a page that steps through the counterexample.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Write the figures into this folder, a page each.")
    ] = None,
) -> None:
    """Show a saved explanation again, and write its pages."""
    import recinterp as ri
    from recinterp import view
    from recinterp.io import check_writable

    for path in (html, json_file, ablate, step):
        check_writable(path)
    ex = ri.Explanation.load(saved)
    if ablate or step or plots:
        ex = ri.Explanation.load(saved, model=ri.load(model or ex.model_name))
    _show(view.explanation_rich(ex))
    if html:
        view.explanation_html(ex, html)
    if json_file:
        _write_json(json_file, view.explanation_json(ex))
    with _busy(f"drawing {saved}"):
        pages = view.explanation_pages(ex, ablate, step, plots)
    _wrote(html, json_file, *pages)


def _wrote(*paths: Path | None) -> None:
    for path in paths:
        if path:
            _err().print(f"wrote {path}", highlight=False)


@app.command(
    epilog="Example: recinterp train binary-successor-natural-depthcap3 | "
    "recinterp train --task binary-successor --max-depth 5 --out runs/mine"
)
def train(
    name: Annotated[
        str | None, typer.Argument(help="A shipped checkpoint: repeat its recorded recipe.")
    ] = None,
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    max_length: Annotated[int, typer.Option(help="Longest training input, in tokens.")] = 16,
    max_depth: Annotated[int | None, typer.Option(help="Deepest training input.")] = None,
    distribution: Annotated[
        str, typer.Option(help="Of training inputs: balanced, natural or uniform.")
    ] = "balanced",
    architecture: Annotated[
        str, typer.Option(help="Of the model: decoder-only or encoder-decoder.")
    ] = "decoder-only",
    layers: Annotated[int, typer.Option(help="Layers; of an encoder-decoder, of each half.")] = 2,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Where to save; default: runs/NAME.")] = None,
) -> None:
    """Train a model, by a shipped recipe or your own. Started again, it goes on where it was."""
    from dataclasses import replace

    from recinterp.models import TrainConfig
    from recinterp.models import train as run
    from recinterp.models.training import resume
    from recinterp.models.training.recipes import get_recipe

    if (name is None) == (task is None):
        raise TaskError("train", "there must be a NAME or a --task, and not both", "one of them")
    if name is not None:
        known = get_recipe(name)
        what, config, label = known.task, known.config, name
    else:
        found = _task(task, function, order)
        assert found is not None
        config = TrainConfig(
            architecture=architecture, n_layers=layers, max_length=max_length,
            max_depth=max_depth, distribution=distribution, seed=seed,
        )  # fmt: skip
        what, label = found, f"{found.name}-{order}"
    config = config if steps is None else replace(config, steps=steps)
    target = out or Path("runs") / label
    work = target.with_name(target.name + ".work")
    done = run(what, config, work=work, name=target.name)
    written = done.save(target)
    resume.delete_unfinished(work)
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()
    last = done.history[-1]
    typer.echo(
        f"{written}: {last.step} steps, loss {last.loss:.4f}, "
        f"{last.exact:.1%} of the last training examples exact"
    )


@app.command(epilog="Example: recinterp tasks --models")
def tasks(
    models: Annotated[bool, typer.Option(help="List the shipped checkpoints as well.")] = False,
) -> None:
    """List the shipped tasks, each with a worked example."""
    from recinterp.tasks.library import SHIPPED_TASKS

    wide = max(map(len, SHIPPED_TASKS))
    for name in sorted(SHIPPED_TASKS):
        typer.echo(f"{name:<{wide}}  {SHIPPED_TASKS[name].example}")
    if models:
        from recinterp.models import list_shipped

        typer.echo("\n".join(["", "checkpoints:", *list_shipped()]))


@app.command(epilog="Example: recinterp trace binary-successor X1 X1 01")
def trace(
    task: Annotated[str, typer.Argument(help="A shipped task, or a path to a .v file.")],
    tokens: Annotated[list[str], typer.Argument(help="An input, token by token.")],
    function: Function = None,
    order: Order = "natural",
) -> None:
    """Reduce one input step by step: every delta, beta and iota step of the true program."""
    what = _task(task, function, order)
    assert what is not None
    what.well_formed(tokens)
    typer.echo(str(what.trace(tokens)))
    typer.echo(f"depth {what.depth(tokens)}: {' '.join(tokens)} -> {' '.join(what.apply(tokens))}")


@app.command(epilog="Example: recinterp fidelity binary-successor-natural --machine mine.asm")
def fidelity(
    model: Model,
    machine: Annotated[
        str, typer.Option(help="A file with a machine's text, or `truth` for the task's own.")
    ],
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    max_length: MaxLength = None,
    json_file: Json = None,
) -> None:
    """Judge any machine against a model, on held-out inputs."""
    from dataclasses import asdict

    import recinterp as ri
    from recinterp.io import check_writable
    from recinterp.view.report.data import fidelity_rows
    from recinterp.view.report.text import fidelity_tables

    check_writable(json_file)
    subject = ri.load(model)
    what = _task(task, function, order) or _recorded(subject).task
    hypothesis = _machine(machine, what)
    domain = _domain(subject, max_length)
    with _busy(f"judging {machine} against {model}"):
        found = ri.fidelity(subject, what, hypothesis, domain=domain)
    rows = fidelity_rows(found)
    _show(fidelity_tables(rows))
    if json_file:
        _write_json(json_file, {"fidelity": [asdict(row) for row in rows]})


@app.command(
    epilog="Example: recinterp diff a.asm b.asm --max-length 12 | recinterp diff seed0.ex seed1.ex"
)
def diff(
    a: Annotated[str, typer.Argument(help="Machine text, saved explanation, or checkpoint.")],
    b: Annotated[str, typer.Argument(help="The same, or `truth` for the task's own machine.")],
    task: TaskName = None,
    function: Function = None,
    order: Order = "natural",
    max_length: MaxLength = None,
    json_file: Json = None,
    seed: Seed = 0,
) -> None:
    """Where two machines or two explanations part."""
    import recinterp as ri
    from recinterp.io import check_writable, to_plain
    from recinterp.view.report.text import diff_text

    check_writable(json_file)
    what = _task(task, function, order)
    left = _side(a, what, max_length, seed)
    right = _side(b, what or getattr(left, "task", None), max_length, seed)
    domain = ri.Domain(max_length=max_length) if max_length else None
    with _busy(f"comparing {a} and {b}"):
        found = ri.diff(left, right, domain=domain)
    _show(diff_text(found, (a, b)))
    if json_file:
        _write_json(json_file, {"a": a, "b": b, **to_plain(found)})
        _wrote(json_file)


def main() -> None:
    """Run the command line; every error a user can cause is one line and exit code 2."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False, prog_name="recinterp")
    except RecinterpError as e:
        code = _fail(str(e))
    except KeyboardInterrupt:
        code = _fail("interrupted", 130)
    except Exception as e:
        message = getattr(e, "format_message", None)  # a mistake in the arguments themselves
        if message is None:
            raise
        code = _fail(message() or type(e).__name__) if message() else 0
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 2) -> int:
    first, *_ = message.splitlines() or [""]
    print(f"error: {first}", file=sys.stderr)  # noqa: T201
    return code


def _explained(name: str, task: Task | None, max_length: int | None, seed: int) -> Explanation:
    import recinterp as ri

    model = ri.load(name)
    domain = _domain(model, max_length)
    with _busy(f"explaining {name}") as busy:
        return ri.explain(
            model,
            task or _recorded(model).task,
            domain=domain,
            seed=seed,
            progress=lambda stage: busy.update(f"explaining {name}: {stage} …"),
        )


def _recorded(model: Any) -> Any:
    """The checkpoint a loaded model came from."""
    return model.checkpoint


def _domain(model: Any, max_length: int | None) -> Domain | None:
    from recinterp.tasks import Domain

    return None if max_length is None else Domain(max_length=max_length)


def _task(name: str | None, function: str | None, order: str) -> Task | None:
    import recinterp as ri

    if name is None:
        return None
    if not name.endswith(".v"):
        return ri.task(name, order=order)
    if function is None:
        raise TaskError(f"task {name}", "it does not say which function", "give --function")
    return ri.Task.from_gallina(Path(name), function=function, order=order)


def _machine(name: str, task: Task) -> Machine:
    from recinterp.machine import Machine

    return task.machine if name == "truth" else Machine.parse(_read(Path(name)))


def _side(name: str, task: Task | None, max_length: int | None, seed: int) -> Any:
    """What a name in `diff` stands for: the truth, a machine's text, an explanation, a model."""
    import recinterp as ri

    path = Path(name)
    if name == "truth":
        if task is None:
            raise TaskError("diff with the truth", "no task is known", "give --task")
        return task.machine
    if path.suffix in (".asm", ".txt"):
        return _machine(name, task) if task else ri.Machine.parse(_read(path))
    if path.is_file() and _is_explanation(path):
        return ri.Explanation.load(path)
    return _explained(name, task, max_length, seed)


def _read(path: Path) -> str:
    from recinterp.io import read_text

    return read_text(path)


def _is_explanation(path: Path) -> bool:
    with path.open("rb") as file:
        return b"recinterp-explanation" in file.read(200)


def _write_json(path: Path, data: object) -> None:
    from recinterp.io import write_text

    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _show(what: RenderableType | None) -> None:
    """Print to a terminal in colour, anywhere else as plain text."""
    from rich.console import Console

    from recinterp.view.report.text import plain_text

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(what)
    elif what is not None:
        typer.echo(plain_text(what, WIDTH), nl=False)


def _err() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _busy(what: str) -> Any:
    """A spinner on stderr while something runs; nothing where stderr is no terminal."""
    return _err().status(f"{what} …")
