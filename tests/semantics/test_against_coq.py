"""The real proof assistant agrees: what is accepted, every normal form, and every single step."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from recinterp.errors import NotStructuralError, OutsideSubsetError
from recinterp.semantics.elaborate import Elaborator
from recinterp.semantics.pretty import show_term
from recinterp.semantics.terms import Term
from recinterp.semantics.trace import ReductionTrace, value_term
from recinterp.tasks import task, tasks
from tests.semantics import coqc
from tests.semantics.coqc import MAX_TERM_LENGTH, STRATEGIES, normal_form, step_sentences
from tests.semantics.generate import CONSTRUCTS, Generated, program

pytestmark = [
    pytest.mark.coqc,
    pytest.mark.skipif(coqc.COQC is None, reason=coqc.ABSENT),
]
PROGRAMS = 500
EACH_CONSTRUCT = 10
PARTS = 10


def terms(read: Elaborator, function: str, texts: list[str]) -> tuple[Term, ...]:
    """Argument texts as terms of the function's parameters."""
    found = []
    for text, param in zip(texts, read.program.function(function).params, strict=True):
        term = value_term(read.elaborate_term(text, param.type)[0], param.type, read.program)
        assert term is not None
        found.append(term)
    return tuple(found)


def agreement(g: Generated, read: Elaborator, number: int) -> list[str]:
    """The program, its normal forms, and the steps of one run."""
    sentences = list(g.sentences)
    for i, texts in enumerate(g.arguments):
        arguments = terms(read, g.function, texts)
        result = normal_form(read.program, g.function, arguments)
        if len(result) <= MAX_TERM_LENGTH:
            sentences.append(coqc.same("cbv", " ".join([g.function, *texts]), result))
        if i == 1:
            trace = ReductionTrace(read.program, g.function, arguments, STRATEGIES[number % 2])
            sentences += step_sentences(trace, aliases=g.aliases)
    return sentences


@pytest.fixture(scope="module")
def generated() -> tuple[list[list[str]], Counter[str]]:
    """Sentences for PROGRAMS programs, every fifth with a broken guard, and what they exercise."""
    modules: list[list[str]] = []
    used: Counter[str] = Counter()
    seed = 0
    while len(modules) < PROGRAMS:
        number, seed = len(modules), seed + 1
        g = program(seed, mutant=number % 5 == 4)
        if g is None:
            continue
        try:
            read = Elaborator(g.source)
        except NotStructuralError:
            modules.append(
                coqc.module(f"M{number}", [*g.sentences[:-1], f"Fail {g.sentences[-1]}"])
            )
            used["broken guard"] += 1
        except OutsideSubsetError:
            used["outside"] += 1
        else:
            modules.append(coqc.module(f"M{number}", agreement(g, read, number)))
            used.update(g.used)
    return modules, used


def test_coqc_has_the_named_version() -> None:
    assert coqc.version().startswith("8.")


@pytest.mark.parametrize("part", range(PARTS))
def test_coqc_takes_every_step_of_generated_programs(
    generated: tuple[list[list[str]], Counter[str]], part: int, tmp_path: Path
) -> None:
    """Accepted programs are accepted, broken ones refused; normal forms and steps are equal."""
    modules = generated[0][part * PROGRAMS // PARTS : (part + 1) * PROGRAMS // PARTS]
    assert coqc.run([s for m in modules for s in m], tmp_path) is None


def test_generated_programs_exercise_every_construct(
    generated: tuple[list[list[str]], Counter[str]],
) -> None:
    used = generated[1]
    assert {c: used[c] for c in CONSTRUCTS if used[c] < EACH_CONSTRUCT} == {}
    assert used["broken guard"] >= PROGRAMS // 5 - used["outside"]
    assert used["outside"] <= PROGRAMS // 20


@pytest.mark.parametrize("name", tasks())
def test_coqc_takes_every_step_of_shipped_tasks(name: str, tmp_path: Path) -> None:
    """The shipped file compiles; its function's normal forms and steps are Coq's."""
    t = task(name)
    sentences = [t.source]
    for i, tokens in enumerate(t.sample(12, seed=1, max_length=7)):
        arguments = t.decode(tokens)
        call = show_term(
            ReductionTrace(t.program, t.function, arguments).start_term, t.program, exact=True
        )
        sentences.append(coqc.same("cbv", call, normal_form(t.program, t.function, arguments)))
        if i < 4:
            trace = ReductionTrace(t.program, t.function, arguments, STRATEGIES[i % 2])
            sentences += step_sentences(trace)
    assert coqc.run(sentences, tmp_path) is None


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("binary-successor", "X1 X1 01"), ("tree-inorder", "Node a Leaf Node b Leaf Leaf")],
)
def test_a_wrongly_labelled_step_fails(name: str, tokens: str, tmp_path: Path) -> None:
    """Each step holds under its own rule, and under no other."""
    t = task(name)
    sentences, before, seen = [t.source], "", 0
    for rule, _of, after in ReductionTrace(
        t.program, t.function, t.decode(tokens.split())
    ).exact_steps():
        for other in coqc.FLAGS if rule else ():
            if other != rule:
                sentences.append(coqc.differ(coqc.flag(other, t.function), before, after))
                seen += 1
        before = after
    assert seen > 30
    assert coqc.run(sentences, tmp_path) is None


def test_comparison_with_coqc_can_fail(tmp_path: Path) -> None:
    t = task("binary-successor")
    sentences = [t.source, coqc.same("cbv", "succ One", "X1 One")]
    refused = coqc.run(sentences, tmp_path)
    assert refused is not None
    assert refused.sentence == sentences[1]
