"""`ex.step(tokens)`: reduction, machine and attention on one input, side by side, step by step.

The clock is the output: the reduction is at the step that makes output token t known, the machine
at its step that writes it, the model at the query that decides it. In reverse order nothing is
known before the reduction has ended, so it runs to its end first.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from recinterp.machine.execution.interpreter import machine_states
from recinterp.semantics.ast import Call, Construct, Let, Var
from recinterp.semantics.pretty import show
from recinterp.semantics.reduce import Closed, Lambda, Node, Reducer, Reduction, Unfolded
from recinterp.tasks.encoding import list_shape
from recinterp.view.notebook.ablation import SCRIPT, STYLE, machine_run, page_of
from recinterp.view.notebook.standalone import StandAlone

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.tasks import Task

MOST = 600  # reduction steps shown
WIDTH = 2_000
OPEN, CLOSE = "\ue000", "\ue001"  # private use: they stand around the redex in the shown text


@dataclass(frozen=True)
class Redex:
    """One step: the term with what is contracted cut out, the rule, and how much output it knows.

    known: output tokens that are certain before the step.
    """

    before: str
    redex: str
    after: str
    rule: str
    name: str
    known: int


class _Watched(Reducer):
    """A Reducer that remembers the term as it stood before its last contraction."""

    shown: tuple[str, str, str] = ("", "", "")
    known = 0

    def _contract(self) -> Reduction:
        focus = self.focus
        inner = bool(self.frames) and isinstance(
            self.frames[-1].node, Construct | Call | Unfolded | Lambda
        )
        text = show(focus, self.program, limit=WIDTH)
        if inner and isinstance(focus, Call | Unfolded | Lambda | Let):
            text = f"({text})"
        self.focus = Var(f"{OPEN}{text}{CLOSE}")
        whole = show(self.term(), self.program, limit=WIDTH)
        before, _, rest = whole.partition(OPEN)
        redex, _, after = rest.partition(CLOSE)
        self.shown = (before, redex, after)
        self.focus = focus
        return super()._contract()


def reduction(task: Task, tokens: Sequence[str]) -> tuple[list[Redex], str]:
    """The ι-trace with its redexes, at most MOST steps, and the normal form."""
    trace = task.trace(tokens, "outermost")
    reducer = _Watched(trace.program, trace.start, "outermost")
    found: list[Redex] = []
    known = 0
    while len(found) < MOST:
        done = reducer.step()
        if done is None:
            break
        found.append(Redex(*reducer.shown, done.rule, done.name, known))
        known = known_tokens(task, reducer.term())
    return found, show(reducer.term(), trace.program, limit=WIDTH)


def known_tokens(task: Task, term: Node) -> int:
    """How many tokens of the output a half-reduced term settles, from the first on."""
    if task.order == "reverse" or task.brackets:
        return 0
    result = task.program.function(task.function).result
    bare = task.bare_lists and list_shape(task.program, result) is not None
    count, stack = 0, [term]
    while stack:
        here = stack.pop()
        while isinstance(here, Closed):
            here = here.term
        if not isinstance(here, Construct):
            return count
        count += not (bare and here.type == result)  # a bare list shows its data alone
        stack.extend(reversed(here.args))
    return count


class StepWidget(anywidget.AnyWidget):
    """Forwards and backwards through one input: buttons, slider, arrow keys."""

    _esm = SCRIPT
    _css = STYLE
    view = traitlets.Unicode("step").tag(sync=True)
    setup = traitlets.Dict().tag(sync=True)

    def static(self, path: str | Path | None = None) -> StandAlone:
        """The same as one page without a kernel."""
        title = f"{self.setup['title']}, step by step"
        page = page_of("step", {"setup": self.setup}, title, "80vh")
        if path is not None:
            page.save(path)
        return page


def stepper(ex: Explanation, tokens: Sequence[str]) -> StepWidget:
    """The widget for one input. Errors: InvalidInputError."""
    ex.task.well_formed(tokens)
    return StepWidget(setup=frames(ex, tokens))


def frames(ex: Explanation, tokens: Sequence[str]) -> dict[str, Any]:
    """Everything the stepper shows, as plain data."""
    redexes, normal = reduction(ex.task, tokens)
    run = [state for state, _ in machine_states(ex.machine, tokens)]
    truth, claimed = ex.task.apply(tokens), ex.machine.known_prefix(tokens)
    model = _model(ex, tokens)
    longest = max(len(truth), len(claimed), len(model["output"]) if model else 0)
    starts = [len(state.out) for state in run]
    return {
        "title": f"{' '.join(tokens)} through {ex.task.name}",
        "input": list(tokens), "truth": truth, "claimed": claimed, "normal": normal,
        "trace": [asdict(r) for r in redexes],
        "run": machine_run(ex.machine, run),
        "model": model,
        "frames": list(_lockstep([r.known for r in redexes], starts, longest)),
    }  # fmt: skip


def _lockstep(known: Sequence[int], starts: Sequence[int], longest: int) -> Iterator[list[int]]:
    """(reduction step, machine step, output index) one after the other."""

    def writer(t: int) -> int:
        later = [i for i, out in enumerate(starts) if out <= t]
        return later[-1] if later else 0

    t = 0
    for i, t in enumerate(known):
        yield [i, writer(t), t]
    for u in range(t, longest + 1):
        yield [len(known), writer(u), u]


def _model(ex: Explanation, tokens: Sequence[str]) -> dict[str, Any] | None:
    from torch import nn

    from recinterp.view.notebook.session import Session

    if not isinstance(ex.model, nn.Module):
        return None
    session = Session(ex)
    answer = session.answer(tokens)
    return {
        "output": list(answer.output), "row": list(answer.tokens), "query": answer.first_query,
        "shape": list(answer.attention.shape),
        "attention": base64.b64encode(answer.attention.contiguous().numpy().tobytes()).decode(),
        "heads": [session.name(which) for which in session.heads],
        "carries": [h.name for h in ex.recursion_heads],
    }  # fmt: skip
