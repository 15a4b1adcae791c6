"""The run of a program on an input, step by step: as text, as HTML, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from typing import Any

from recinterp.errors import TaskError
from recinterp.semantics.ast import Call, Construct, Program
from recinterp.semantics.limits import RUN_LIMITS
from recinterp.semantics.pretty import show_term
from recinterp.semantics.reduce import Closed, StepReducer, TermNode
from recinterp.semantics.terms import Term


@dataclass(frozen=True)
class TraceStep:
    """One reduction: its rule (δ, ι-fix, β, ι-match, ζ), of what, and the term that it leaves.

    `text` shows the term with names refolded; where names are refolded, δ and ι-fix change no text
    but the rule's. `name` is the function (δ, ι-fix), the variable (β, ζ) or the constructor
    (ι-match).
    """

    index: int
    rule: str
    name: str
    text: str


@dataclass(frozen=True)
class ReductionTrace:
    """The steps from a call to its normal form; iterate for `TraceStep`s, or print it.

    Attributes:
        program: The program that is run.
        function: Name of the function that is called.
        arguments: The terms it is called on.
        strategy: Order of reduction: "cbv" (leftmost-innermost) or "outermost".
        max_shown_steps: Steps that text and HTML show; of a longer run, the middle is left out.
        max_characters: Characters of a term in text, HTML and JSON, after which it is cut with ….
    """

    program: Program
    function: str
    arguments: tuple[Term, ...]
    strategy: str = "cbv"
    max_shown_steps: int = 400
    max_characters: int = 2_000

    @cached_property
    def start_term(self) -> TermNode:
        """The call that is reduced."""
        args = tuple(Closed(term_expression(t), normal=True) for t in self.arguments)
        return Call(self.function, args)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[TraceStep]:
        reducer = StepReducer(self.program, self.start_term, self.strategy)
        index = 0
        while (done := reducer.contract_next()) is not None:
            index += 1
            text = show_term(reducer.whole_term(), self.program, limit=self.max_characters)
            yield TraceStep(index, done.rule, done.name, text)

    def exact_steps(self) -> Iterator[tuple[str, str, str]]:
        """(rule, of what, the term after it as text that coqc reads back); first ("", "", the
        call).
        """
        reducer = StepReducer(self.program, self.start_term, self.strategy)
        yield "", "", show_term(self.start_term, self.program, exact=True)
        while (done := reducer.contract_next()) is not None:
            yield done.rule, done.name, show_term(reducer.whole_term(), self.program, exact=True)

    @cached_property
    def rule_counts(self) -> dict[str, int]:
        """Rule -> how many steps are of it."""
        reducer = StepReducer(self.program, self.start_term, self.strategy)
        found: dict[str, int] = {}
        left = RUN_LIMITS.max_trace_steps
        while (done := reducer.contract_next()) is not None:
            found[done.rule] = found.get(done.rule, 0) + 1
            left -= 1
            if not left:
                raise self._overrun_error(reducer.whole_term())
        return found

    def _overrun_error(self, reached: TermNode) -> TaskError:
        text = show_term(reached, self.program, limit=1_000_000)
        size = f"{'more than ' if text.endswith('…') else ''}{min(len(text), 1_000_000):,}"
        return TaskError(
            "trace a run",
            f"it takes more than {RUN_LIMITS.max_trace_steps:,} steps, and its term then has {size}"
            " characters",
            "trace a shorter input, or iterate over the trace",
        )

    def __len__(self) -> int:
        """The number of steps."""
        return sum(self.rule_counts.values())

    @cached_property
    def result(self) -> Term:
        """The normal form, computed by the steps only."""
        reducer = StepReducer(self.program, self.start_term, self.strategy)
        left = RUN_LIMITS.max_trace_steps
        while reducer.contract_next() is not None:
            left -= 1
            if not left:
                raise self._overrun_error(reducer.whole_term())
        term = value_term(
            reducer.whole_term(), self.program.function(self.function).result, self.program
        )
        assert term is not None
        return term

    def _text_rows(self) -> list[tuple[str, str]]:
        """(rule and name, term) for the call and each step; a long middle is left out."""
        rows = [("", show_term(self.start_term, self.program, limit=self.max_characters))]
        total, half = len(self), self.max_shown_steps // 2
        for step in self:
            if half < step.index <= total - half:
                if step.index == half + 1:
                    rows.append(("…", f"({total - 2 * half} steps are not shown)"))
                continue
            rows.append((f"{step.rule} {step.name}", step.text))
        return rows

    def __repr__(self) -> str:
        start = show_term(self.start_term, self.program, limit=80)
        return f"ReductionTrace({start}: {len(self)} steps)"

    def __str__(self) -> str:
        rows = self._text_rows()
        width = max(len(rule) for rule, _ in rows)
        return "\n".join(f"{rule:<{width}}  {text}" for rule, text in rows)

    def to_html(self) -> str:
        """A table of the steps: rule, of what, term. Nothing is loaded from elsewhere."""
        cells = (
            f"<tr><th>{escape(rule)}</th><td><code>{escape(text)}</code></td></tr>"
            for rule, text in self._text_rows()
        )
        title = escape(show_term(self.start_term, self.program, limit=80))
        return f"<table class='recinterp-trace'><caption>{title}</caption>{''.join(cells)}</table>"

    _repr_html_ = to_html

    def to_json(self) -> dict[str, Any]:
        """The steps as data."""
        return {
            "function": self.function,
            "strategy": self.strategy,
            "start": show_term(self.start_term, self.program, limit=self.max_characters),
            "steps": [asdict(step) for step in self],
            "result": str(self.result),
        }


def term_expression(term: Term) -> Construct:
    """A term as an expression, built from its last constructor backwards."""
    pending, typed = [term.type], []
    for symbol in term.symbols:
        type_ = pending.pop()
        args = term.program.type(type_).constructor(symbol).args
        typed.append((symbol, type_, len(args)))
        pending.extend(reversed(args))
    stack: list[Construct] = []
    for symbol, type_, arity in reversed(typed):
        args_ = tuple(stack[: -arity - 1 : -1]) if arity else ()
        del stack[len(stack) - arity :]
        stack.append(Construct(symbol, type_, args_))
    return stack[0]


def value_term(node: TermNode, type_: str, program: Program) -> Term | None:
    """The term a node is, or None where something is left to reduce."""
    symbols, stack = [], [node]
    while stack:
        here = stack.pop()
        if isinstance(here, Closed):
            stack.append(here.term)
        elif isinstance(here, Construct):
            symbols.append(here.constructor)
            stack.extend(reversed(here.args))
        else:
            return None
    return Term(type_, tuple(symbols), program)
