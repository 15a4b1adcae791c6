"""A machine is refused here if it names what it has not, or if two guards of a mode can both hold.

Disjointness is decided atom by atom: two guards exclude each other when they read the same thing
and no value satisfies both. That is sound (what passes is disjoint), and requires that rules which
differ test the same expression.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from recinterp.errors import MachineError, OverlappingRulesError
from recinterp.machine.nodes import (
    READ_ONLY,
    Add,
    AtLeast,
    Atom,
    Cmp,
    Const,
    Emit,
    Expr,
    Find,
    In,
    Out,
    Push,
    Reg,
    Rule,
    Set,
    TopIs,
    subtract,
    walk,
)
from recinterp.tokens import END_OF_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Bool

    from recinterp.machine.machine import Machine
    from recinterp.machine.nodes import Node

Interval = tuple[float, float]


def check_machine(machine: Machine) -> None:
    """Raise MachineError or OverlappingRulesError where the machine is not well formed."""
    modes = {r.mode for r in machine.rules}
    if machine.start not in modes:
        raise MachineError(
            "build a machine",
            f"no rule starts in its first mode {machine.start}",
            f"start in one of the modes {', '.join(sorted(modes))}",
        )
    if END_OF_INPUT in machine.vocab:
        problem = f"its vocab has the token {END_OF_INPUT}, which reading outside the input gives"
        raise MachineError("build a machine", problem, "give the token another name")
    for rule in machine.rules:
        _check_names(machine, rule, modes)
    _check_initial_values(machine)
    for mode in modes:
        pair = _find_overlap(machine, mode)
        if pair is not None:
            raise OverlappingRulesError(
                "build a machine",
                f"rules {pair[0].name} and {pair[1].name} of mode {mode} can both fire",
                "add to each a guard on the same expression, with values that differ",
            )


def _find_overlap(machine: Machine, mode: str) -> tuple[Rule, Rule] | None:
    """Two rules of a mode that may both fire, as far as atoms about the same thing tell.

    Grown rules are many and share their atoms, so that each two atoms are compared once.
    """
    rules = machine.rules_of(mode)
    if len(rules) < 2:
        return None
    atoms = dict.fromkeys(x for r in rules for x in _atoms_in(r.guard))
    number = {a: i for i, a in enumerate(atoms)}
    in_guard = np.zeros((len(rules), len(number)), dtype=np.float32)
    for k, rule in enumerate(rules):
        in_guard[k, [number[a] for a in rule.guard]] = 1
    excluded = in_guard @ _exclusion_table(tuple(number)) > 0  # by a rule's guard, each atom
    disjoint = excluded @ in_guard.T > 0
    for k, vote in ((k, a) for k, r in enumerate(rules) for a in r.guard):
        if isinstance(vote, AtLeast):
            left = ~excluded[:, [number[a] for a in vote.atoms]]
            outvoted = left.sum(axis=1) < vote.least
            disjoint[k] |= outvoted
            disjoint[:, k] |= outvoted
    both = np.argwhere(np.triu(~disjoint, 1))
    return None if not len(both) else (rules[both[0][0]], rules[both[0][1]])


def _exclusion_table(atoms: Sequence[Atom]) -> Bool[np.ndarray, "atoms atoms"]:
    """Which two atoms cannot both hold; an atom may exclude itself."""
    table = np.zeros((len(atoms), len(atoms)), dtype=bool)
    for (i, a), (j, b) in combinations_with_replacement(enumerate(atoms), 2):
        table[i, j] = table[j, i] = excludes(a, b)
    return table


def _atoms_in(guard: Sequence[Atom]) -> tuple[Atom, ...]:
    """The atoms of a guard, and after them those that its votes count."""
    return (*guard, *(x for a in guard if isinstance(a, AtLeast) for x in a.atoms))


def _check_names(machine: Machine, rule: Rule, modes: set[str]) -> None:
    registers = {name for name, _ in machine.registers} | set(READ_ONLY)
    operation = f"build a machine with rule {rule.name}"
    modes_text = ", ".join(sorted(modes))
    if rule.goto is not None and rule.goto not in modes:
        raise MachineError(
            operation, f"no rule starts in mode {rule.goto}", f"go to one of {modes_text}"
        )
    for node in (n for part in (*rule.guard, *rule.updates) for n in walk(part)):
        known = {"token": machine.vocab, "register": registers, "frame": machine.frames}
        for kind, name, line in _names_used(node):
            if name not in known[kind]:
                raise MachineError(
                    operation, f"there is no {kind} {name!r}", f"declare it by a line `{line}`"
                )
        if isinstance(node, Set) and node.reg in READ_ONLY:
            raise MachineError(operation, f"{node.reg} is read-only", "set a register of your own")
        if isinstance(node, AtLeast):
            _check_vote(operation, node)


def _check_initial_values(machine: Machine) -> None:
    """First values may read no register; the domain is tested once all have their first values."""
    first = {f"start register {name}": (walk(e), READ_ONLY) for name, e in machine.registers}
    known = (*READ_ONLY, *(name for name, _ in machine.registers))
    domain = {"test a machine's domain": ((x for a in machine.domain for x in walk(a)), known)}
    for operation, (nodes, readable) in {**first, **domain}.items():
        for node in nodes:
            if isinstance(node, Reg) and node.name not in readable:
                raise MachineError(
                    operation,
                    f"{node.name} has no value yet",
                    f"read only {', '.join(readable)} there",
                )


def _check_vote(operation: str, vote: AtLeast) -> None:
    if not 1 <= vote.least <= len(vote.atoms):
        problem = f"a vote for {vote.least} of {len(vote.atoms)} atoms always or never holds"
        raise MachineError(operation, problem, "vote for one of them up to all")
    if any(isinstance(x, TopIs) for x in vote.atoms):
        raise MachineError(operation, "a vote reads the frame on top", "guard on `height` instead")


def _names_used(node: Node) -> Iterator[tuple[str, str, str]]:
    match node:
        case Reg(name) | Set(reg=name):
            yield "register", name, "registers p = 0"
        case In(tokens=tokens) | Out(tokens=tokens) | Find(skip=tokens):
            yield from (("token", x, "vocab") for x in tokens if x != END_OF_INPUT)
        case Emit(word):
            yield from (("token", x, "vocab") for x in word if isinstance(x, str))
        case Push(frame=str(frame)) | TopIs(str(frame)):
            yield "frame", frame, "frames"


@lru_cache(maxsize=1 << 17)
def excludes(a: Atom, b: Atom) -> bool:
    """Whether two atoms cannot both hold; cached, as many machines share them."""
    match a, b:
        case In(at, xs), In(other, ys):
            return at == other and not set(xs) & set(ys)
        case Out(back, xs), Out(other_back, ys):
            return back == other_back and not set(xs) & set(ys)
        case TopIs(x), TopIs(y):
            return x != y
        case In(at, xs), Cmp() if END_OF_INPUT not in xs:
            return any(excludes(inside, b) for inside in _position_bounds(at))
        case Cmp(), In():
            return excludes(b, a)
        case Cmp(), Cmp():
            (key, left), (other_key, right) = _normal_form(a), _normal_form(b)
            if key == other_key:
                return not _intervals_meet(left, right)
            if key == _negated_difference(other_key):
                return not _intervals_meet(left, tuple((-high, -low) for low, high in right))
        case AtLeast(least, xs), AtLeast(other_least, ys) if len(xs) == len(ys):
            # Each atom of the one against one of the other: of every two at most one can hold.
            opposed = all(excludes(x, y) for x, y in zip(xs, ys, strict=True))
            return opposed and least + other_least > len(xs)
    return False


def implies(a: Atom, b: Atom) -> bool:
    """Whether one atom cannot hold without the other, as far as atoms about one thing tell."""
    match a, b:
        case In(at, xs), In(other, ys):
            return at == other and set(xs) <= set(ys)
        case Out(back, xs), Out(other_back, ys):
            return back == other_back and set(xs) <= set(ys)
        case Cmp(), Cmp():
            (key, left), (other_key, right) = _normal_form(a), _normal_form(b)
            within = (any(lo >= low and hi <= high for low, high in right) for lo, hi in left)
            return key == other_key and all(within)
    return a == b


def _intervals_meet(one: tuple[Interval, ...], other: tuple[Interval, ...]) -> bool:
    return any(max(a[0], b[0]) <= min(a[1], b[1]) for a in one for b in other)


def _position_bounds(at: Expr) -> tuple[Cmp, Cmp]:
    """The bounds on a position that reading a token of the input there implies."""
    return Cmp(at, "<", Reg("n")), Cmp(at, ">=", Const(0))


def _normal_form(atom: Cmp) -> tuple[Expr, tuple[Interval, ...]]:
    """`a op b` as: expression a - b without its constant, and the values it may take."""
    difference = subtract(atom.a, atom.b)
    k = 0
    match difference:
        case Const(c):
            difference, k = Const(0), c
        case Add(base, Const(c), sign, j):
            difference, k = base, sign * c + j
        case Add(base, of, sign, j):
            difference, k = Add(base, of, sign), j
    allowed: dict[str, tuple[Interval, ...]] = {
        "=": ((0, 0),),
        "!=": ((-inf, -1), (1, inf)),
        "<": ((-inf, -1),),
        "<=": ((-inf, 0),),
        ">": ((1, inf),),
        ">=": ((0, inf),),
    }
    return difference, tuple((lo - k, hi - k) for lo, hi in allowed[atom.op])


def _negated_difference(e: Expr) -> Expr | None:
    return Add(e.of, e.base, -1) if isinstance(e, Add) and e.sign == -1 and e.k == 0 else None


def negate_atom(atom: Atom, vocab: tuple[str, ...]) -> Atom:
    """The atom that holds exactly where this one does not. Errors: MachineError for TopIs."""
    match atom:
        case In(at, tokens):
            return In(at, tuple(x for x in (*vocab, END_OF_INPUT) if x not in tokens))
        case Out(back, tokens):
            return Out(back, tuple(x for x in (*vocab, END_OF_INPUT) if x not in tokens))
        case Cmp(a, op, b):
            return Cmp(a, {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[op], b)
        case AtLeast(least, atoms):
            return AtLeast(len(atoms) - least + 1, tuple(negate_atom(x, vocab) for x in atoms))
    problem = "the frame on top has no single opposite"
    raise MachineError("negate a guard", problem, "guard on `height` instead")


def simplify_guard(guard: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """An equal guard without what other atoms of it already say."""
    merged: dict[object, Atom] = {}
    for atom in guard:
        key = _atom_subject(atom)
        merged[key] = _conjoin_atoms(merged[key], atom) if key in merged else atom
    atoms = tuple(merged.values())
    return tuple(x for x in atoms if not any(_is_implied(x, y) for y in atoms))


def _is_implied(atom: Atom, given: Atom) -> bool:
    """Whether a comparison with a number follows from an equation of the same expression."""
    from recinterp.machine.execution.interpreter import compare_values

    match atom, given:
        case Cmp(a, op, Const(j)), Cmp(b, "=", Const(k)) if a == b and op != "=":
            return compare_values(k, op, j)
    return False


def _atom_subject(atom: Atom) -> object:
    """The subject of an atom: atoms with the same subject can be joined into one."""
    match atom:
        case In(at=at):
            return ("in", at)
        case Out(back=back):
            return ("out", back)
        case Cmp(a, op, b) if op in ("<=", ">=", "<", ">"):
            return ("cmp", a, op[0] if isinstance(b, Const) else (op, b))
    return atom


def _conjoin_atoms(one: Atom, other: Atom) -> Atom:
    """Two atoms of one subject as one. Of equations and votes the subject is all they say."""
    if one == other:
        return one
    match one, other:
        case In(at, xs), In(_, ys):
            return In(at, tuple(x for x in xs if x in ys))
        case Out(back, xs), Out(_, ys):
            return Out(back, tuple(x for x in xs if x in ys))
        case Cmp(a, op, Const(j)), Cmp(_, other_op, Const(k)):
            low = max(j + (op == ">"), k + (other_op == ">"))
            high = min(j - (op == "<"), k - (other_op == "<"))
            return Cmp(a, ">=", Const(low)) if op[0] == ">" else Cmp(a, "<=", Const(high))
    return one
