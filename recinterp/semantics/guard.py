"""Coq's guard condition, for first-order programs: every recursive call is on a strict subterm.

A strict subterm of the structural argument is a name bound, by a match, inside the structural
argument or inside a strict subterm of it, at a type of the same Inductive sentence; or a `let`
alias of one. Coq also accepts arguments computed by a match or a call that return subterms; those
are outside the subset and refused by that name. Source: Coq reference manual, "Theory of
fixpoints".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice, product

from recinterp.errors import NotStructuralError, OutsideSubsetError, SourceError
from recinterp.semantics.ast import Call, Construct, Expr, Function, Let, Match, Var
from recinterp.semantics.limits import LIMITS
from recinterp.semantics.scope import Scope
from recinterp.semantics.surface_syntax import Pos


class SubtermSize(Enum):
    """The size of a variable's value, compared with the structural argument."""

    WHOLE = "the structural argument itself"
    STRICT = "a strict subterm of the structural argument"
    COMPUTED = "computed by a match or a call"
    OTHER = "unrelated to the structural argument"


@dataclass(frozen=True)
class UnguardedCall:
    """A recursive call that is not guarded."""

    call: Call
    size: SubtermSize
    struct: str


def check_guard(
    scope: Scope,
    block: Sequence[Function],
    wanted: Sequence[int | None],
    places: Mapping[int, Pos],
    heads: Sequence[Pos],
) -> list[Function]:
    """The block with its structural parameters, given or found.

    NotStructuralError or OutsideSubsetError.
    """
    choices = [
        _recursive_params(scope, f) if w is None else [w]
        for f, w in zip(block, wanted, strict=True)
    ]
    first: UnguardedCall | None = None
    computed: UnguardedCall | None = None
    blocks_differ = False
    for structs in islice(product(*choices), LIMITS.max_structural_choices):
        if not _same_block(scope, block, structs):
            blocks_differ = True
            continue
        fault = _find_fault(scope, block, dict(zip((f.name for f in block), structs, strict=True)))
        if fault is None:
            return [replace(f, struct=i) for f, i in zip(block, structs, strict=True)]
        first = first or fault
        computed = computed or (fault if fault.size is SubtermSize.COMPUTED else None)
    fault = computed or (None if blocks_differ else first)
    raise _describe_refusal(scope, block, fault, places, heads)


def _recursive_params(scope: Scope, function: Function) -> Sequence[int]:
    """The parameters that can be structural: to Coq, a Record is no recursive type."""
    heads = [scope.heads[p.type][0] for p in function.params]
    found = [i for i, head in enumerate(heads) if not scope.declared[head][0].fields]
    return found or range(len(function.params))


def _same_block(scope: Scope, block: Sequence[Function], structs: Sequence[int]) -> bool:
    """Functions joined by 'with' recurse on types of one Inductive sentence."""
    types = [f.params[i].type for f, i in zip(block, structs, strict=True)]
    return all(t in scope.instances[types[0]].block for t in types)


def _find_fault(
    scope: Scope, block: Sequence[Function], structs: Mapping[str, int]
) -> UnguardedCall | None:
    for function in block:
        param = function.params[structs[function.name]]
        sizes = {p.name: SubtermSize.OTHER for p in function.params} | {
            param.name: SubtermSize.WHOLE
        }
        walker = _Walker(scope, structs, frozenset(scope.instances[param.type].block), param.name)
        fault = walker.visit_expression(function.body, sizes)
        if fault is not None:
            return fault
    return None


@dataclass(frozen=True)
class _Walker:
    scope: Scope
    structs: Mapping[str, int]
    block: frozenset[str]
    struct: str

    def visit_expression(self, expr: Expr, sizes: dict[str, SubtermSize]) -> UnguardedCall | None:
        """The first unguarded recursive call; `sizes` grows, as names are unique in a function."""
        match expr:
            case Var():
                return None
            case Construct(args=args):
                return self._visit_all(args, sizes)
            case Call(args=args):
                return self._visit_all(args, sizes) or self._visit_call(expr, sizes)
            case Let(name=name, value=value, body=body):
                fault = self.visit_expression(value, sizes)
                sizes[name] = _bound_size(value, sizes)
                return fault or self.visit_expression(body, sizes)
            case Match():
                return self._visit_match(expr, sizes)

    def _visit_all(
        self, exprs: Sequence[Expr], sizes: dict[str, SubtermSize]
    ) -> UnguardedCall | None:
        return next((f for e in exprs if (f := self.visit_expression(e, sizes))), None)

    def _visit_call(self, call: Call, sizes: dict[str, SubtermSize]) -> UnguardedCall | None:
        if call.function not in self.structs:
            return None
        size = _argument_size(call.args[self.structs[call.function]], sizes)
        return None if size is SubtermSize.STRICT else UnguardedCall(call, size, self.struct)

    def _visit_match(self, expr: Match, sizes: dict[str, SubtermSize]) -> UnguardedCall | None:
        fault = self.visit_expression(expr.scrutinee, sizes)
        outer = _bound_size(expr.scrutinee, sizes)
        ind = self.scope.instances[expr.type]
        for arm in expr.arms:
            for name, type_ in zip(arm.names, ind.constructor(arm.constructor).args, strict=True):
                sizes[name] = _part_size(outer, type_ in self.block)
            fault = fault or self.visit_expression(arm.body, sizes)
        return fault


def _part_size(outer: SubtermSize, same_block: bool) -> SubtermSize:
    if outer in (SubtermSize.WHOLE, SubtermSize.STRICT):
        return SubtermSize.STRICT if same_block else SubtermSize.OTHER
    return outer


def _argument_size(expr: Expr, sizes: Mapping[str, SubtermSize]) -> SubtermSize:
    match expr:
        case Var(name=name):
            return sizes[name]
        case Construct():
            return SubtermSize.OTHER
        case _:
            return SubtermSize.COMPUTED


def _bound_size(expr: Expr, sizes: Mapping[str, SubtermSize]) -> SubtermSize:
    """Of what a let or a match binds: Coq looks through constructors there, which is not done
    here.
    """
    return SubtermSize.COMPUTED if isinstance(expr, Construct) else _argument_size(expr, sizes)


def _describe_refusal(
    scope: Scope,
    block: Sequence[Function],
    fault: UnguardedCall | None,
    places: Mapping[int, Pos],
    heads: Sequence[Pos],
) -> SourceError:
    outside = "is outside the subset that is read"
    if fault is None:
        names = ", ".join(f.name for f in block)
        problem = f"recursion of {names} on types of different Inductive sentences {outside}"
        hint = "declare the types together, or the functions in sentences of their own"
        return _source_error(scope, OutsideSubsetError, heads[0], problem, hint)
    pos, callee = places.get(id(fault.call), heads[0]), fault.call.function
    if fault.size is SubtermSize.COMPUTED:
        problem = f"a recursive call of {callee} on a computed argument {outside}"
        hint = "match on the argument and call on a name that the match binds"
        return _source_error(scope, OutsideSubsetError, pos, problem, hint)
    place = f"{fault.struct!r} itself" if fault.size is SubtermSize.WHOLE else "something else"
    problem = (
        f"not structurally recursive: the call of {callee} is not on a strict subterm of "
        f"{fault.struct!r} but on {place}"
    )
    hint = f"match on {fault.struct!r} and call on a name that the match binds"
    return _source_error(scope, NotStructuralError, pos, problem, hint)


def _source_error(
    scope: Scope, kind: type[SourceError], pos: Pos, problem: str, hint: str
) -> SourceError:
    return kind(
        "check a program", problem, hint, source=scope.source, line=pos.line, column=pos.column
    )
