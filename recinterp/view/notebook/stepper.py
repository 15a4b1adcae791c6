"""`ex.step(tokens)`: reduction, machine and attention on one input, side by side, step by step.

The clock is the output: the reduction is at the step that makes output token t known, the machine
at its step that writes it, the model at the query that decides it. In reverse order nothing is
known before the reduction has ended, so it runs to its end first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from recinterp.machine.execution.interpreter import machine_states
from recinterp.semantics.ast import Call, Construct, Let, Var
from recinterp.semantics.pretty import show_term
from recinterp.semantics.reduce import Closed, Lambda, Reduction, StepReducer, TermNode, Unfolded
from recinterp.tasks.encoding import list_shape
from recinterp.view.notebook.ablation import plain_attention, plain_run
from recinterp.view.notebook.standalone import (
    SCRIPT_FILE,
    STYLE_FILE,
    StandalonePage,
    build_widget_page,
)

if TYPE_CHECKING:
    from recinterp.explanation import Explanation
    from recinterp.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Redex:
    """One reduction step: the term, in three pieces, and the rule that applies.

    Attributes:
        before: the term's text before the part that is contracted.
        redex: the part that is contracted.
        after: the text after it.
        rule: the reduction rule, such as "δ" or "ι-match".
        name: the function or constructor that the rule applies to.
        known: output tokens that are certain before the step.
    """

    before: str
    redex: str
    after: str
    rule: str
    name: str
    known: int


class _RecordingReducer(StepReducer):
    """A StepReducer that remembers the term as it stood before its last contraction."""

    max_characters = 2_000  # of a term's text
    pieces: tuple[str, str, str] = ("", "", "")

    def text(self) -> str:
        return show_term(self.whole_term(), self.program, limit=self.max_characters)

    def _contract_redex(self) -> Reduction:
        focus = self.focus
        inner = bool(self.frames) and isinstance(
            self.frames[-1].node, Construct | Call | Unfolded | Lambda
        )
        text = show_term(focus, self.program, limit=self.max_characters)
        if inner and isinstance(focus, Call | Unfolded | Lambda | Let):
            text = f"({text})"
        opening, closing = "\ue000", "\ue001"  # private use: no term contains them
        self.focus = Var(f"{opening}{text}{closing}")
        before, _, rest = self.text().partition(opening)
        redex, _, after = rest.partition(closing)
        self.pieces = (before, redex, after)
        self.focus = focus
        return super()._contract_redex()


def trace_redexes(
    task: Task, tokens: Sequence[str], *, max_steps: int = 600
) -> tuple[list[Redex], str]:
    """The reduction of one input with its redexes, at most `max_steps`, and the normal form."""
    trace = task.trace(tokens, "outermost")
    reducer = _RecordingReducer(trace.program, trace.start_term, "outermost")
    redexes: list[Redex] = []
    known = 0
    while len(redexes) < max_steps:
        step = reducer.contract_next()
        if step is None:
            break
        before, redex, after = reducer.pieces
        redexes.append(
            Redex(
                before=before, redex=redex, after=after, rule=step.rule, name=step.name, known=known
            )
        )
        known = count_known_tokens(task, reducer.whole_term())
    return redexes, reducer.text()


def count_known_tokens(task: Task, term: TermNode) -> int:
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
        count += not (bare and here.type == result)  # a bare list shows only its data
        stack.extend(reversed(here.args))
    return count


class StepWidget(anywidget.AnyWidget):
    """Forwards and backwards through one input: buttons, slider, arrow keys."""

    _esm = SCRIPT_FILE
    _css = STYLE_FILE
    view = traitlets.Unicode("step").tag(sync=True)
    setup = traitlets.Dict().tag(sync=True)

    def static(self, path: str | Path | None = None) -> StandalonePage:
        """The widget as one page without a kernel.

        Args:
            path: a file that the page is also written to.

        Returns:
            The page.

        Raises:
            UnwritableFileError: where the file cannot be written.
        """
        title = f"{self.setup['title']}, step by step"
        page = build_widget_page("step", {"setup": self.setup}, title, "80vh")
        if path is not None:
            page.save(path)
        return page


def step_widget(ex: Explanation, tokens: Sequence[str]) -> StepWidget:
    """The widget for one input; `Explanation.step` documents it."""
    ex.task.well_formed(tokens)
    return StepWidget(setup=build_step_setup(ex, tokens))


def build_step_setup(ex: Explanation, tokens: Sequence[str]) -> dict[str, Any]:
    """Everything the stepper shows, as plain data."""
    redexes, normal_form = trace_redexes(ex.task, tokens)
    run = [state for state, _ in machine_states(ex.machine, tokens)]
    truth, machine_output = ex.task.apply(tokens), ex.machine.known_prefix(tokens)
    model = _plain_model(ex, tokens)
    longest = max(len(truth), len(machine_output), len(model["output"]) if model else 0)
    written = [len(state.out) for state in run]
    return {
        "title": f"{' '.join(tokens)} through {ex.task.name}",
        "input": list(tokens),
        "truth": truth,
        "machine_output": machine_output,
        "normal": normal_form,
        "trace": [asdict(redex) for redex in redexes],
        "run": plain_run(ex.machine, run),
        "model": model,
        "frames": list(_synchronise([redex.known for redex in redexes], written, longest)),
    }


def _synchronise(known: Sequence[int], written: Sequence[int], longest: int) -> Iterator[list[int]]:
    """The frames, each as [reduction step, machine step, output index].

    known: output tokens certain before each reduction step; written: output tokens that the
    machine has written before each of its steps; longest: tokens of the longest output.
    """

    def machine_step(t: int) -> int:
        earlier = [i for i, count in enumerate(written) if count <= t]
        return earlier[-1] if earlier else 0

    t = 0
    for i, t in enumerate(known):
        yield [i, machine_step(t), t]
    for u in range(t, longest + 1):
        yield [len(known), machine_step(u), u]


def _plain_model(ex: Explanation, tokens: Sequence[str]) -> dict[str, Any] | None:
    """The model's output and attention as plain data; None where there is no hooked model."""
    from torch import nn

    from recinterp.view.notebook.session import Session

    if not isinstance(ex.model, nn.Module):
        return None
    session = Session(ex)
    answer = session.answer(tokens)
    return {
        "output": list(answer.output),
        **plain_attention(answer),
        "heads": [session.name(which) for which in session.heads],
        "recursion_heads": [h.name for h in ex.recursion_heads],
    }
