"""Asking the real proof assistant: sentences in, the first that fails out."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from recinterp.semantics.ast import Function, Program
from recinterp.semantics.evaluate import compile_program
from recinterp.semantics.pretty import TermPrinter, show_term
from recinterp.semantics.terms import Term, symbols_of, value_of
from recinterp.semantics.trace import ReductionTrace, term_expression

COQC = shutil.which("coqc")
ABSENT = "coqc is not installed (Debian package coq)"
STRATEGIES = ("cbv", "outermost")
MAX_STEPS, MAX_TERM_LENGTH = 40, 2_500  # what is compared of one run: coqc reads no more in time
FLAGS = {"δ": "delta [{}]", "ι-fix": "fix", "β": "beta", "ι-match": "match", "ζ": "zeta"}


@dataclass(frozen=True)
class Refused:
    """The sentence that coqc stopped at, and what it said."""

    sentence: str
    message: str


def run(sentences: list[str], folder: Path) -> Refused | None:
    """Compile the sentences as one file; None where all are accepted."""
    file = folder / "check.v"
    text = "\n".join(sentences) + "\n"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [str(COQC), "-q", "-w", "none", file.name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode == 0:
        return None
    found = re.search(r"line (\d+), characters", done.stderr)
    line = int(found.group(1)) if found else 1
    starts = 0
    for sentence in sentences:
        starts += sentence.count("\n") + 1
        if starts >= line:
            return Refused(sentence, done.stderr)
    return Refused("", done.stderr)


def function_text(function: Function, program: Program) -> str:
    """One function of a program as a `fix` or `fun` that coqc reads, unapplied."""
    printer = TermPrinter(program, exact=True, limit=None)
    if function.is_recursive:
        return printer.join_pieces(printer.fix_pieces(function))
    params = printer.parameter_pieces(function.params)
    head = ["(fun ", *params, " => "] if params != [""] else ["("]
    return printer.join_pieces([*head, (function.body, False), ")"])


def module(name: str, sentences: list[str]) -> list[str]:
    """The sentences in a module of their own."""
    return [f"Module {name}.", *sentences, f"End {name}."]


def same(rule: str, left: str, right: str) -> str:
    """A sentence that holds where both terms are equal once `rule` has been used on each."""
    return f"Goal True. {_equal(rule, left, right)}. exact I. Qed."


def differ(rule: str, left: str, right: str) -> str:
    """A sentence that holds where `same` would fail."""
    return f"Goal True. Fail ({_equal(rule, left, right)}). exact I. Qed."


def _equal(rule: str, left: str, right: str) -> str:
    made = f"let left__ := eval {rule} in ({left}) in let right__ := eval {rule} in ({right}) in "
    return made + "constr_eq left__ right__"


def flag(rule: str, name: str, aliases: tuple[str, ...] = ()) -> str:
    """The cbv of one rule alone; names of types are unfolded with a function's."""
    names = " ".join([name, *aliases])
    if not aliases or rule == "δ":
        return f"cbv {FLAGS[rule].format(names)}"
    # The type of a match's branches, which is inferred, may be written by another name.
    return f"cbv {FLAGS[rule].format(name)} delta [{' '.join(aliases)}]"


def version() -> str:
    """The version of coqc, `8.16.1`."""
    shown = subprocess.run([str(COQC), "--version"], capture_output=True, text=True, check=True)
    return re.findall(r"version (\S+)", shown.stdout)[0]


def normal_form(checked: Program, function: str, arguments: tuple[Term, ...]) -> str:
    """The value that the compiled program computes, as text for coqc."""
    value = compile_program(checked, frozenset()).run_function(
        function, [value_of(t) for t in arguments]
    )
    result = Term(checked.function(function).result, symbols_of(value, checked), checked)
    return show_term(term_expression(result), checked, exact=True)


def step_sentences(
    trace: ReductionTrace, steps: int = MAX_STEPS, aliases: tuple[str, ...] = ()
) -> list[str]:
    """For each step, the sentence that both terms are equal up to its one rule."""
    found, before = [], ""
    for rule, name, after in islice(trace.exact_steps(), steps + 1):
        if rule and max(len(before), len(after)) <= MAX_TERM_LENGTH:
            found.append(same(flag(rule, name, aliases), before, after))
        before = after
    return found
