"""Small steps as Coq takes them, one redex at a time, at a cost that does not grow with the term.

δ unfolds a constant once: a definition to its function, a fixpoint to the anonymous fix. ι-fix
opens a fix whose structural argument begins with a constructor; β passes one argument; ι-match
chooses a branch; ζ puts a let's value in. Strategies: "cbv" (leftmost-innermost: arguments are
values before a call is unfolded) and "outermost" (leftmost-outermost; where the outermost call or
match waits for an argument to show its constructor, that argument is reduced until it does).
Neither goes under a binder. Source: Coq reference manual, "Conversion rules".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from recinterp.errors import UnknownNameError
from recinterp.semantics.ast import Call, Construct, Expr, Let, Match, Param, Program, Var

STRATEGIES = ("cbv", "outermost")


@dataclass(frozen=True)
class Unfolded:
    """An anonymous fix, applied: what δ leaves of a call to a fixpoint."""

    function: str
    args: tuple[TermNode, ...]


@dataclass(frozen=True)
class Lambda:
    """`(fun params => body) args`: what ι-fix, or δ of a definition, leaves; `function` is its
    origin.
    """

    function: str
    params: tuple[Param, ...]
    body: TermNode
    args: tuple[TermNode, ...]


@dataclass(frozen=True)
class Closed:
    """A closed term put in for a variable; `normal` where it is known to be a value."""

    term: TermNode
    normal: bool = False


TermNode: TypeAlias = "Expr | Unfolded | Lambda | Closed"


@dataclass(frozen=True)
class Reduction:
    """One step.

    Attributes:
        rule: δ, ι-fix, β, ι-match or ζ.
        name: The function (δ, ι-fix), constructor (ι-match) or variable (β, ζ) that it reduces.
        function: The function that δ, ι-fix or β reduces; empty for ι-match and ζ.
    """

    rule: str
    name: str
    function: str


def substitute_terms(
    node: TermNode, env: Mapping[str, TermNode], fixed: frozenset[str]
) -> TermNode:
    """`node` with variables replaced, and calls of `fixed` functions made anonymous fixes.

    It walks program text only: what was substituted before is closed, and is not entered again.
    """

    def go(at: TermNode) -> TermNode:
        match at:
            case Var(name=name):
                return env.get(name, at)
            case Construct(args=args):
                return replace(at, args=tuple(go(a) for a in args)) if args else at  # type: ignore[misc]
            case Call(function=function, args=args):
                parts = tuple(go(a) for a in args)
                made = Unfolded if function in fixed else Call
                return made(function, parts)  # type: ignore[arg-type]
            case Unfolded() | Lambda():
                return replace(at, args=tuple(go(a) for a in at.args))
            case Match(arms=arms):
                inner = tuple(replace(a, body=go(a.body)) for a in arms)  # type: ignore[arg-type]
                return replace(at, scrutinee=go(at.scrutinee), arms=inner)  # type: ignore[arg-type]
            case Let():
                return replace(at, value=go(at.value), body=go(at.body))  # type: ignore[arg-type]
            case Closed():
                return at

    return go(node)


@dataclass(frozen=True)
class _ReductionFrame:
    """A term around the focus: `node` with a hole at child `index`; `whole`: to a full value."""

    node: TermNode
    index: int
    whole: bool


class StepReducer:
    """A term in the middle of its reduction: `contract_next()` until it gives None.

    The term is represented as a focus and the frames around it, so that a step costs the size of
    one function body, however deep the term is.
    """

    def __init__(self, program: Program, term: TermNode, strategy: str = "cbv") -> None:
        if strategy not in STRATEGIES:
            raise UnknownNameError("reduce by this strategy", strategy, STRATEGIES)
        self.program = program
        self.eager = strategy == "cbv"
        self.focus: TermNode = term
        self.frames: list[_ReductionFrame] = []
        self.whole = True

    def contract_next(self) -> Reduction | None:
        """Contract the next redex and say which; None at the normal form."""
        while True:
            if isinstance(self.focus, Closed) and not self.focus.normal:
                self.focus = self.focus.term
            index = self._next_child()
            if index is not None:
                self._descend_into(*index)
            elif isinstance(self.focus, Construct | Closed):
                if not self._ascend_frame():
                    return None
            else:
                return self._contract_redex()

    def whole_term(self) -> TermNode:
        """The whole term as it stands."""
        node = self.focus
        for frame in reversed(self.frames):
            node = _with_child(frame.node, frame.index, node)
        return node

    def _next_child(self) -> tuple[int, bool] | None:
        """The child to reduce before the focus itself can be: (index, to a full value?)."""
        node = self.focus
        match node:
            case Construct(args=args):
                return self._first_open(args) if self.whole else None
            case Call(args=args) | Lambda(args=args):
                return self._first_open(args) if self.eager else None
            case Unfolded(function=function, args=args):
                if self.eager:
                    return self._first_open(args)
                struct = self.program.function(function).struct
                assert struct is not None
                return None if _is_headed(args[struct]) else (struct, False)
            case Match(scrutinee=scrutinee):
                done = _is_value(scrutinee) if self.eager else _is_headed(scrutinee)
                return None if done else (0, self.eager)
            case Let(value=value):
                return (0, True) if self.eager and not _is_value(value) else None
            case _:
                return None

    def _first_open(self, args: tuple[TermNode, ...]) -> tuple[int, bool] | None:
        return next(((i, True) for i, a in enumerate(args) if not _is_value(a)), None)

    def _descend_into(self, index: int, whole: bool) -> None:
        self.frames.append(_ReductionFrame(self.focus, index, self.whole))
        self.focus, self.whole = _child_of(self.focus, index), whole

    def _ascend_frame(self) -> bool:
        """Leave a finished child for its parent; False at the root."""
        done = self.focus
        if self.whole and isinstance(done, Construct):
            done = Closed(done, normal=True)
        if not self.frames:
            self.focus = done
            return False
        frame = self.frames.pop()
        self.focus, self.whole = _with_child(frame.node, frame.index, done), frame.whole
        return True

    def _contract_redex(self) -> Reduction:
        match self.focus:
            case Call(function=name, args=args):
                function = self.program.function(name)
                if function.is_recursive:
                    self.focus = Unfolded(name, args)
                elif args:
                    self.focus = Lambda(name, function.params, function.body, args)
                else:
                    self.focus = function.body
                return Reduction("δ", name, name)
            case Unfolded(function=name, args=args):
                function = self.program.function(name)
                body = substitute_terms(function.body, {}, frozenset(function.block))
                self.focus = Lambda(name, function.params, body, args)
                return Reduction("ι-fix", name, name)
            case Lambda(function=name, params=params, body=body, args=args):
                body = substitute_terms(body, {params[0].name: _close_term(args[0])}, frozenset())
                self.focus = Lambda(name, params[1:], body, args[1:]) if args[1:] else body
                return Reduction("β", params[0].name, name)
            case Match() as node:
                return self._choose_branch(node)
            case Let(name=name, value=value, body=body):
                self.focus = substitute_terms(body, {name: _close_term(value)}, frozenset())
                return Reduction("ζ", name, "")
            case other:
                raise AssertionError(f"no redex: {other}")

    def _choose_branch(self, node: Match) -> Reduction:
        head = _open_closed(node.scrutinee)
        assert isinstance(head, Construct)
        arm = node.arm(head.constructor)
        normal = _is_value(node.scrutinee)
        env = {n: _close_term(a, normal) for n, a in zip(arm.names, head.args, strict=True)}
        self.focus = substitute_terms(arm.body, env, frozenset())
        return Reduction("ι-match", head.constructor, "")


def _close_term(node: TermNode, normal: bool = False) -> TermNode:
    if isinstance(node, Closed):
        return node if node.normal or not normal else Closed(node.term, True)
    return Closed(node, normal)


def _open_closed(node: TermNode) -> TermNode:
    while isinstance(node, Closed):
        node = node.term
    return node


def _is_headed(node: TermNode) -> bool:
    return isinstance(_open_closed(node), Construct)


def _is_value(node: TermNode) -> bool:
    """Known to be a value without looking inside: closed and normal, or a constant constructor."""
    if isinstance(node, Closed):
        return node.normal or _is_value(node.term)
    return isinstance(node, Construct) and not node.args


def _child_of(node: TermNode, index: int) -> TermNode:
    match node:
        case Construct(args=args) | Call(args=args) | Unfolded(args=args) | Lambda(args=args):
            return args[index]
        case Match(scrutinee=scrutinee):
            return scrutinee
        case Let(value=value):
            return value
        case other:
            raise AssertionError(f"no child: {other}")


def _with_child(node: TermNode, index: int, child: TermNode) -> TermNode:
    match node:
        case Construct(args=args) | Call(args=args) | Unfolded(args=args) | Lambda(args=args):
            return replace(node, args=(*args[:index], child, *args[index + 1 :]))  # type: ignore[arg-type]
        case Match():
            return replace(node, scrutinee=child)  # type: ignore[arg-type]
        case Let():
            return replace(node, value=child)  # type: ignore[arg-type]
        case other:
            raise AssertionError(f"no child: {other}")
