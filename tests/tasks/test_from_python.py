# ruff: noqa: E501 (a table of programs)
"""Python functions as tasks: equal to Python's own run, accepted by coqc, refused with a place."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from recinterp.errors import PythonTranslationError, SourceError, TaskError
from recinterp.semantics.terms import Term
from recinterp.tasks import Task, task
from tests.semantics import coqc
from tests.tasks import python_tasks
from tests.tasks.python_programs import STYLES, write_program

SHIPPED: dict[str, tuple[Callable[..., Any], dict[str, str], int]] = {
    "binary-successor": (python_tasks.succ, {"One": "01"}, 9),
    "binary-predecessor": (python_tasks.pred, {"One": "01"}, 9),
    "binary-addition": (python_tasks.add, {"One": "01"}, 8),
    "peano-addition": (python_tasks.add_numbers, {}, 12),
    "peano-doubling": (python_tasks.double, {}, 12),
    "list-append": (python_tasks.append, {}, 4),
    "list-reverse": (python_tasks.reverse, {}, 5),
    "list-map": (python_tasks.map_after, {}, 5),
    "tree-preorder": (python_tasks.preorder, {}, 7),
    "tree-inorder": (python_tasks.inorder, {}, 7),
    "tree-postorder": (python_tasks.postorder, {}, 7),
    "tree-mirror": (python_tasks.mirror, {}, 7),
    "ring-arithmetic": (python_tasks.eval_ring, {"One_": "One"}, 6),
    "listops": (python_tasks.eval_term, {"Dig": "Digit"}, 6),
}
FURTHER: dict[str, tuple[Callable[..., Any], int]] = {
    "labels": (python_tasks.labels, 8),
    "split": (python_tasks.split, 4),
    "insert": (python_tasks.insert, 4),
    "is_before": (python_tasks.is_before, 2),
    "is_even": (python_tasks.is_even, 12),
    "clip": (python_tasks.clip, 8),
    "doubled": (python_tasks.doubled, 4),
    "all_labels": (python_tasks.all_labels, 10),
    "rotate": (python_tasks.rotate, 3),
    "older": (python_tasks.older, 6),
}
# Each of these takes half a second or more.
SLOW = {
    "binary-predecessor", "binary-addition", "list-append", "list-reverse", "ring-arithmetic",
    "listops", "doubled", "older",
}  # fmt: skip
PROGRAMS, EACH_STYLE, INPUTS = 100, 5, 150


def marked(names: Iterable[str]) -> list[Any]:
    """The names as parameters, those in SLOW with the mark."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


def python_value(term: Term, module: ModuleType) -> Any:
    """A term as the Python object that it stands for."""
    head, args = term.symbols[0], [python_value(a, module) for a in term.arguments()]
    if head.split("_")[0] == "nil":
        return []
    if head.split("_")[0] == "cons":
        return [args[0], *args[1]]
    if head == "pair":
        return tuple(args)
    if head in ("true", "false"):
        return head == "true"
    for value in vars(module).values():
        members = getattr(value, "__members__", {})
        if head in members:
            return members[head]
    return getattr(module, head)(*args)


def agrees(made: Task, function: Callable[..., Any], module: ModuleType, length: int) -> int:
    """Check every input up to a length against Python's own run; the number of inputs."""
    inputs = list(islice(made.inputs(length), 2_000))
    for tokens in inputs:
        expected = function(*(python_value(t, module) for t in made.decode(tokens)))
        assert python_value(made.decode_output(made.apply(tokens)), module) == expected, tokens
    return len(inputs)


@pytest.mark.parametrize("name", marked(SHIPPED))
def test_shipped_tasks_written_in_python_are_the_shipped_tasks(name: str) -> None:
    function, tokens, length = SHIPPED[name]
    made, shipped = Task.from_python(function, tokens=tokens), task(name)
    assert set(made.vocab) <= set(shipped.vocab)  # the shipped trees have eight labels
    inputs = list(islice(made.inputs(length), 2_000))
    assert made.apply_many(inputs) == shipped.apply_many(inputs)
    assert agrees(Task.from_python(function), function, python_tasks, length) >= 5


@pytest.mark.parametrize("name", marked(FURTHER))
def test_further_styles_equal_their_python_run(name: str) -> None:
    function, length = FURTHER[name]
    assert agrees(Task.from_python(function), function, python_tasks, length) >= 5


def load_module(text: str, name: str, folder: Path) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_generated_functions_equal_their_python_run(tmp_path: Path) -> None:
    used: Counter[str] = Counter()
    sentences: list[str] = []
    seed = programs = refused = 0
    while programs < PROGRAMS:
        seed += 1
        program = write_program(seed)
        module = load_module(program.text, f"generated_{seed}", tmp_path)
        function = getattr(module, program.function)
        try:
            made = Task.from_python(function)
        except PythonTranslationError as error:
            if "never reached" not in error.problem:
                raise
            refused += 1
            continue
        length = max(n for n in range(1, 9) if sum(made.count(k) for k in range(n)) < INPUTS)
        agrees(made, function, module, length)
        used.update(program.used)
        programs += 1
        sentences += coqc.module(f"M{seed}", [made.source])
    assert refused < PROGRAMS // 2
    assert {s: used[s] for s in STYLES if used[s] < EACH_STYLE} == {}
    if coqc.COQC is not None:
        assert coqc.run(sentences, tmp_path) is None


@pytest.mark.coqc
@pytest.mark.skipif(coqc.COQC is None, reason=coqc.ABSENT)
def test_coqc_accepts_the_translations(tmp_path: Path) -> None:
    functions = [f for f, _, _ in SHIPPED.values()] + [f for f, _ in FURTHER.values()]
    sentences = [
        s
        for i, f in enumerate(functions)
        for s in coqc.module(f"M{i}", [Task.from_python(f).source])
    ]
    assert coqc.run(sentences, tmp_path) is None


def test_the_translation_reads_as_people_write_gallina() -> None:
    assert Task.from_python(python_tasks.succ).source == (
        "(* Translated from the Python function succ. *)\n"
        "\n"
        "Inductive Bin : Set :=\n"
        "  | One\n"
        "  | X0 (n : Bin)\n"
        "  | X1 (n : Bin).\n"
        "\n"
        "Fixpoint succ (n : Bin) : Bin :=\n"
        "  match n with\n"
        "  | One => X0 One\n"
        "  | X0 m => X1 m\n"
        "  | X1 m => X0 (succ m)\n"
        "  end.\n"
    )


def test_machines_and_saved_tasks_are_as_of_any_task() -> None:
    made = Task.from_python(python_tasks.succ, "reverse", {"One": "01"}, name="mine")
    inputs = list(made.inputs(6))
    assert made.machine.run_many(inputs) == task("binary-successor", "reverse").apply_many(inputs)
    assert Task.from_json(made.to_json()) == made


HEAD = """from __future__ import annotations
from dataclasses import dataclass
from enum import Enum
@dataclass(frozen=True)
class Z: pass
@dataclass(frozen=True)
class N:
    n: Num
Num = Z | N
class Bit(Enum):
    LOW = 0
    HIGH = 1
@dataclass
class Loose:
    n: Num
"""
# The function's text (its first line is line 16): line, column, what the error is about.
REFUSED: dict[str, tuple[str, int, int, str]] = {
    "no type": ("def f(n) -> Num: return n", 16, 7, "the parameter 'n' has no type"),
    "no result type": ("def f(n: Num): return n", 16, 1, "the result has no type"),
    "int": ("def f(n: int) -> int: return n", 16, 10, "int is no type of finite data"),
    "text": ("def f(n: list[str]) -> Num: return Z()", 16, 10, "str is no type of finite data"),
    "unknown type": ("def f(n: 'Nothing') -> Num: return Z()", 16, 10, "stands for nothing"),
    "not frozen": ("def f(n: Loose) -> Num: return n.n", 16, 10, "Loose is not frozen"),
    "one case": ("def f(n: Z | N | Bit) -> Num: return Z()", 16, 10, "which is no dataclass"),
    "optional": ("def f(n: Z | None) -> Num: return Z()", 16, 10, "the union has None"),
    "no argument": ("def f() -> Num: return Z()", 16, 1, "takes no argument"),
    "default": ("def f(n: Num = Z()) -> Num: return n", 16, 16, "of another kind"),
    "loop": ("def f(n: Num) -> Num:\n    while True:\n        pass", 17, 5, "a loop"),
    "number": ("def f(n: Num) -> Num: return 0", 16, 30, "a constant of type int"),
    "operator": ("def f(n: Num) -> Num: return n + n", 16, 30, "an operator on Num"),
    "other operator": ("def f(n: Num) -> Num: return n * n", 16, 30, "this operator"),
    "field of a class": ("@dataclass(frozen=True)\nclass P:\n    a: Num\n    b: int\ndef f(n: P) -> Num: return n.a", 19, 8, "int is no type"),
    "type variable": ("def f(n: 'list[T]') -> Num: return Z()", 16, 10, "'T' stands for nothing"),
    "comprehension": ("def f(n: list[Num]) -> list[Num]: return [x for x in n]", 16, 42, "a comprehension"),
    "method": ("def f(n: Num) -> Num: return n.succ()", 16, 30, "the method 'n.succ'"),
    "builtin": ("def f(n: list[Num]) -> list[Num]: return sorted(n)", 16, 42, "'sorted' cannot be translated"),
    "unknown name": ("def f(n: Num) -> Num: return m", 16, 30, "'m' stands for nothing"),
    "wrong type": ("def f(n: Num) -> Num: return N(Bit.LOW)", 16, 32, "this is of type Bit"),
    "missing argument": ("def f(n: Num) -> Num: return N()", 16, 30, "gets 0 arguments"),
    "missing case": (
        "def f(n: Num) -> Num:\n    match n:\n        case N(N(_)): return n\n        case Z(): return n",
        17, 5, "no case matches N(Z())",
    ),
    "raised case": (
        "def f(n: Num) -> Num:\n    match n:\n        case Z(): return n\n        case _: raise ValueError(n)",
        17, 5, "an error is raised for N(_)",
    ),
    "dead case": (
        "def f(n: Num) -> Num:\n    match n:\n        case N() | Z(): return n\n        case Z(): return n",
        19, 14, "this case is never reached",
    ),
    "foreign case": (
        "def f(n: Num) -> Num:\n    match n:\n        case Bit(): return n\n        case _: return n",
        18, 14, "Bit is no case of Num",
    ),
    "no value": ("def f(n: Num) -> Num:\n    if isinstance(n, Z): return n", 16, 1, "a path ends without a value"),
    "field of a union": ("def f(n: Num) -> Num: return n.n", 16, 30, "no field 'n' in each case"),
    "equality of terms": ("def f(n: Num) -> bool: return n == Z()", 16, 31, "== on Num"),
    "not structural": ("def f(n: Num) -> Num: return f(N(n))", 16, 30, ""),
    "open list": ("def f(n: Num) -> Num:\n    xs = []\n    return n", 17, 10, "the type of this list is open"),
    "wide characters": ("def f(n: Num) -> Num: return f(λλ) if 'é' else 0", 16, 39, "a constant of type str"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"), REFUSED.values(), ids=REFUSED.keys()
)
def test_refusals_point_into_the_python(
    text: str, line: int, column: int, problem: str, tmp_path: Path
) -> None:
    module = load_module(HEAD + text + "\n", f"refused_{abs(hash(text))}", tmp_path)
    with pytest.raises(PythonTranslationError) as caught:
        Task.from_python(module.f)
    error = caught.value
    assert isinstance(error, SourceError)
    assert (error.line, error.column) == (line, column)
    assert problem in error.problem
    assert error.hint
    assert error.excerpt.splitlines() == [text.splitlines()[line - 16], " " * (column - 1) + "^"]


def test_functions_without_source_are_refused() -> None:
    scope: dict[str, Any] = {}
    exec("def f(n: bool) -> bool: return n", scope)
    with pytest.raises(TaskError, match="source cannot be read"):
        Task.from_python(scope["f"])
    with pytest.raises(TaskError, match="no Python function"):
        Task.from_python(len)


def test_nothing_of_the_users_is_run(tmp_path: Path) -> None:
    text = "def g(n: Num) -> Num:\n    return g(n)\ndef f(n: Num) -> Num:\n    return Z() if True else h(n)\n"
    text += "def h(n: Num) -> Num:\n    match n:\n        case Z(): return n\n        case N(m): return h(m)\n"
    module = load_module(HEAD + text, "not_run", tmp_path)
    module.Z.__post_init__ = lambda self: 1 / 0
    assert Task.from_python(module.f).apply(["N", "Z"]) == ["Z"]
