"""One configuration driven to the next: unfold, match, write, until the input or the stack decides.

Driving ends in leaves. A leaf is one rule to be: what was read and written on the way, and where it
goes on. Reading is put off (a new mode starts) once something has been written or pushed, or when
a recursive call that has to read comes up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from recinterp.machine.derive.grammar import BARE, Grammar
from recinterp.machine.derive.program import END_OF, STRIP, Known
from recinterp.machine.derive.terms import (
    SAVED,
    At,
    Config,
    Hole,
    Item,
    NoMachine,
    Opaque,
    Owned,
    Place,
    Ret,
    Seek,
    Tok,
    Val,
    fill,
    nodes,
    places,
    replace_at,
    rewrite,
    rewrite_config,
    substitute,
)
from recinterp.semantics.ast import Call, Construct, Expr, Let, Match, Var

Context: TypeAlias = Callable[[Expr], Expr]
REGISTERS = "pqrsuvw"
LONGEST = 60  # tokens written between two that are read
PROBE = 60  # unfoldings looked ahead before a call is taken to need input


class Grows(Exception):  # noqa: N818 - a signal between strategies, not an error
    """This configuration cannot be had without a stack."""


class Hoist(Exception):  # noqa: N818
    """A place must be known before this configuration starts to read."""

    def __init__(self, place: Place) -> None:
        self.place = place


def grown(function: str) -> NoMachine:
    """The error where what is still to be computed has no bound."""
    return NoMachine(
        f"derive a machine for {function}",
        "what is still to be computed grows in a way that one stack of pointers does not hold",
        "functions whose intermediate results are constants, or lists built left to right",
    )


@dataclass(frozen=True)
class Frame:
    """A suspended configuration: over p, where the pointer then stands, and its own pointer."""

    config: Config
    step: str | None = None


@dataclass(frozen=True)
class Leaf:
    """A rule to be."""

    reads: tuple[tuple[Place, tuple[str, ...]], ...]
    word: tuple[str | Place, ...]
    sets: tuple[tuple[str, Place], ...]
    push: tuple[Frame, Place | None] | None
    target: Config | Ret
    step: str | None


@dataclass
class Path:
    """What has been read and written since the configuration started."""

    reads: list[tuple[Place, tuple[str, ...]]] = field(default_factory=list)
    word: list[str | Place] = field(default_factory=list)
    known: dict[tuple[str, int, str], Construct] = field(default_factory=dict)
    alias: dict[str, Place] = field(default_factory=dict)
    popped: bool = False
    last: str | None = None
    step: str | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was read or popped."""
        return bool(self.reads) or self.popped

    def copy(self) -> Path:
        """A path that goes on by itself."""
        return replace(
            self,
            reads=list(self.reads),
            word=list(self.word),
            known=dict(self.known),
            alias=dict(self.alias),
        )

    def real(self, place: Place) -> Place:
        """A resolved place in terms of registers that exist."""
        at = self.alias.get(place.reg)
        return place if at is None else self.real(at).plus(place.k)


class Driver:
    """Drives configurations of one task; `stack`: whether frames may be pushed."""

    def __init__(self, grammar: Grammar, known: Known, *, stack: bool) -> None:
        self.grammar, self.known, self.stack = grammar, known, stack

    # from a configuration to leaves
    def drive(self, config: Config) -> list[Leaf]:
        """The rules of a configuration."""
        try:
            return list(self._go(config, Path(), config))
        except Hoist as wanted:
            path = Path()
            return list(self._go(self._apart(wanted.place, config, path), path, None))

    def resume(self, frame: Frame, ret: Ret) -> list[Leaf]:
        """The rules for returning to a frame."""
        config = frame.config
        if ret.value is not None:
            value = self._constant(ret.value)
            items = tuple(
                Val(fill(i.expr, value)) if isinstance(i, Val) else i
                if isinstance(i, Tok | Seek) else fill(i, value)
                for i in config.items
            )  # fmt: skip
            config = Config(items, config.stop)
        return list(self._go(config, Path(popped=True, last=frame.step), None))

    def _constant(self, name: str) -> Construct:
        type_ = next(
            t.name
            for t in self.grammar.program.types
            if any(c.name == name for c in t.constructors)
        )
        return Construct(name, type_)

    def _go(self, config: Config, path: Path, start: Config | None) -> Iterator[Leaf]:
        """`start`: the configuration as it was, while nothing has been read."""
        while True:
            if not config.items:
                yield from self._finish(config, None, path, start)
                return
            head, rest = config.items[0], config.items[1:]
            match head:
                case Tok(token):
                    self._write(path, token)
                case Seek(place):
                    if place.skips:
                        yield from self._split(place, place.skips[0][0], config, path, start)
                        return
                case At(place, type_):
                    width = self.grammar.fixed(type_)
                    if place.skips or width is None:
                        yield from self._copy(config, path, start)
                        return
                    self._copy_fixed(path, place, width)
                case Val(Construct(name)):
                    yield from self._finish(config, name, path, start)
                    return
                case Construct():
                    rest = (*self._pieces(head), *rest)
                case _:
                    done = self._reduce(config, path, start)
                    if not isinstance(done, Config):
                        yield from done
                        return
                    config = done
                    continue
            config = Config(rest, config.stop)

    def _write(self, path: Path, piece: str | Place) -> None:
        if not path.word:
            path.step = path.last
        path.word.append(piece)
        if len(path.word) > LONGEST:
            raise Grows if not self.stack else grown(self.grammar.task.function)

    def _copy_fixed(self, path: Path, place: Place, width: int) -> None:
        order = range(width)
        for i in reversed(order) if self.grammar.reverse else order:
            self._write(path, path.real(place.plus(i)))

    def _pieces(self, e: Construct) -> tuple[Item, ...]:
        if e.constructor.startswith(END_OF):
            return ()
        before, after = self.grammar.written(e.constructor, e.type)
        found: tuple[Item, ...] = (*map(Tok, before), *e.args, *map(Tok, after))
        return found[::-1] if self.grammar.reverse else found

    def _copied(self, e: Construct, head: At, path: Path) -> tuple[Item, ...]:
        """The pieces of a constructor that stands in the input: its token is copied from there."""
        pieces = self._pieces(e)
        before, _ = self.grammar.written(e.constructor, e.type)
        if self.grammar.reverse or not before or BARE in head.type:
            return pieces
        for token in before[:-1]:
            self._write(path, token)
        self._write(path, path.real(head.place.plus(len(before) - 1)))
        return pieces[len(before) :]

    # reading
    def _copy(self, config: Config, path: Path, start: Config | None) -> Iterator[Leaf]:
        head = config.items[0]
        assert isinstance(head, At)
        known = path.known.get((head.place.reg, head.place.k, head.type))
        if known is not None and not head.place.skips:
            pieces = self._copied(known, head, path)
            yield from self._go(Config((*pieces, *config.items[1:]), config.stop), path, start)
        elif path.begun:
            yield self._leave(config, path)
        else:
            yield from self._need(head, config, path, start)

    def _need(self, at: At, config: Config, path: Path, start: Config | None) -> Iterator[Leaf]:
        """Go on with what stands at a place: read it now, or leave that to a mode of its own."""
        if path.word or self._must_push_rest(config):
            yield self._leave(config, path)
        elif at.place.skips:
            yield from self._need_place(at.place, config, path, start)
        else:
            yield from self._split(at.place, at.type, config, path, start)

    def _must_push_rest(self, config: Config) -> bool:
        return self.stack and len(config.items) > 1 and not isinstance(config.items[0], Seek)

    def _need_place(
        self, place: Place, config: Config, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        if path.begun:
            if start is not None and not path.popped:
                earlier = [p for p in places(start) if p.skips and p.reg == place.reg]
                if earlier and self._chain(earlier[0]):
                    raise Hoist(earlier[0])
            yield self._leave(config, path)
            return
        whole = start or config
        if self._chain(place):
            yield from self._go(self._apart(place, whole, path), path, None)
        else:
            yield self._push(whole, Config(()), path, place)

    def _chain(self, place: Place) -> bool:
        return all(self.grammar.is_chain(t) for t, _ in place.skips)

    def _apart(self, place: Place, config: Config, path: Path) -> Config:
        """The configuration with a register of its own for a place, which is sought first."""
        first, own = place.skips[0][0], f"~{len(path.alias)}"
        path.alias[own] = Place(place.reg, 0)

        def on(p: Place) -> Place:
            ours = (p.reg, p.k) == (place.reg, place.k) and p.skips and p.skips[0][0] == first
            return replace(p, reg=own) if ours else p

        return rewrite_config(Config((Seek(place), *config.items), config.stop), on)

    def _split(
        self, place: Place, type_: str, config: Config, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        """One path for each way the subterm at a place can begin."""
        if path.word or (path.begun and config.items and isinstance(config.items[0], Seek)):
            yield self._leave(config, path)
            return
        base = Place(place.reg, place.k)
        for case in self.grammar.cases(type_):
            here = path.copy()
            inner, end = self.grammar.layout(case, base)
            for offset, tokens in case.reads:
                here.reads.append((base.plus(offset), tokens))
            args = tuple(At(p, t) for p, t in zip(inner, case.children, strict=True))
            value = Construct(case.constructor, type_.partition(BARE)[0], args)
            here.known[base.reg, base.k, type_] = value

            def on(p: Place, end: Place = end) -> Place:
                if (p.reg, p.k) == (base.reg, base.k) and p.skips and p.skips[0][0] == type_:
                    return end.then(p.skips[0][1], p.skips[1:])
                return p

            now = rewrite_config(config, on)
            if self.grammar.is_enumeration(type_):
                now = Config(tuple(replace_at(i, At(base, type_), value) for i in now.items), now.stop)
            yield from self._go(now, here, start)

    def _finish(
        self, config: Config, value: str | None, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        """Everything is written: bring the pointer where it must stand, and return."""
        stop = config.stop
        if stop is None or not stop.skips:
            sets = () if stop is None else (("p", path.real(stop)),)
            yield self._leaf(path, sets, None, Ret(value))
            return
        type_, j = stop.skips[0]
        if path.word:
            yield self._leave(config, path)
        elif not self.grammar.is_chain(type_) and (len(stop.skips) > 1 or j):
            yield self._push(config, Config(()), path, stop, short=True)
        elif path.begun:
            yield self._leave(config, path)
        else:
            yield from self._split(stop, type_, config, path, start)

    # leaving
    def _leave(self, config: Config, path: Path) -> Leaf:
        if self._must_push_rest(config):
            rest = Config(config.items[1:], config.stop)
            return self._push(rest, Config(config.items[:1]), path, None)
        return self._goto(config, path, None)

    def _goto(self, config: Config, path: Path, push: tuple[Frame, Place | None] | None) -> Leaf:
        config, sets = canonical(config)
        real = tuple((name, path.real(p)) for name, p in sets)
        return self._leaf(path, real, push, config)

    def _leaf(
        self,
        path: Path,
        sets: tuple[tuple[str, Place], ...],
        push: tuple[Frame, Place | None] | None,
        target: Config | Ret,
    ) -> Leaf:
        reads: dict[Place, tuple[str, ...]] = {}
        for p, tokens in path.reads:
            known = reads.get(path.real(p), tokens)
            reads[path.real(p)] = tuple(x for x in known if x in tokens)
        step = path.step if path.word else path.last
        return Leaf(tuple(reads.items()), tuple(path.word), sets, push, target, step)

    def _push(
        self, frame: Config, focus: Config, path: Path, prefer: Place | None, short: bool = False
    ) -> Leaf:
        """Suspend a configuration and go on with another, which ends where the first needs it."""
        if not self.stack:
            raise Grows
        stop = _common_stop(frame, focus, prefer, short)
        saved = {(p.reg, p.k) for p in places(frame) if not p.skips}
        registers = {path.real(Place(reg, k)).reg for reg, k in saved}
        if len(registers) > 1:
            raise NoMachine(
                f"derive a machine for {self.grammar.task.function}",
                "a suspended call needs more than one pointer",
                "one argument that is walked while the others wait",
            )
        low = min((path.real(Place(r, k)).k for r, k in saved), default=0)

        def on(p: Place) -> Place:
            if not p.skips:
                return Place(SAVED, path.real(p).k - low)
            assert stop is not None
            if (p.reg, p.k) != (stop.reg, stop.k) or len(p.skips) < len(stop.skips):
                raise NoMachine(
                    f"derive a machine for {self.grammar.task.function}",
                    "a suspended call needs two places that are not yet known",
                    "one argument that is walked while the others wait",
                )
            n = len(stop.skips)
            return Place("p", 0).then(p.skips[n - 1][1], p.skips[n:])

        suspended = Frame(rewrite_config(frame, on), path.last if any(not isinstance(i, Tok) for i in frame.items) else None)
        pointer = Place(registers.pop(), low) if saved else None
        return self._goto(Config(focus.items, stop), path, (suspended, pointer))

    # reducing
    def _reduce(self, config: Config, path: Path, start: Config | None) -> Config | Iterator[Leaf]:
        """One δβ, ι or ζ step in the first item; leaves where it cannot be had without reading."""
        head, rest = config.items[0], config.items[1:]
        is_value = isinstance(head, Val)
        expr = head.expr if isinstance(head, Val) else head
        assert not isinstance(expr, Tok | Seek)
        redex, context, bare = self.find(expr)

        def whole(e: Expr) -> Config:
            filled = context(e)
            return Config((Val(filled) if is_value else filled, *rest), config.stop)

        match redex:
            case At(place, type_):
                known = path.known.get((place.reg, place.k, type_))
                if known is not None and not place.skips:
                    return whole(known)
                return self._need(redex, config, path, start)
            case Call():
                return self._call(redex, whole, bare, is_value, config, path)
            case Owned(scrutinee=Construct() as made, owner=owner):
                if owner:
                    path.last = f"ι {owner} {made.constructor}"
                return whole(iota(redex, made))
            case Let(name, _, value, body):
                return whole(substitute(body, {name: value}))
        raise NoMachine(f"derive a machine for {self.grammar.task.function}", f"stuck at {redex}")

    def find(self, e: Expr) -> tuple[Expr, Context, bool]:
        """The subexpression to reduce next, what stands around it, whether that is nothing."""
        inner: Expr | None = None
        match e:
            case Match(scrutinee=Call() | Match() | Let() as inner):
                redex, context, _ = self.find(inner)
                return redex, lambda x: replace(e, scrutinee=context(x)), False
            case Match(scrutinee=Var() as inner):
                return inner, lambda x: replace(e, scrutinee=x), False
            case Let(name, type_, Call() | Match() | Let() as inner, body) if self._eager(type_):
                redex, context, _ = self.find(inner)
                return redex, lambda x: Let(name, type_, context(x), body), False
            case Call(f, args):
                for i, (a, p) in enumerate(zip(args, self.known.functions[f].params, strict=True)):
                    if isinstance(a, Call | Match | Let) and self._eager(p.type):
                        redex, context, _ = self.find(a)

                        def around(x: Expr, i: int = i, context: Context = context) -> Expr:
                            return Call(f, (*args[:i], context(x), *args[i + 1 :]))

                        return redex, around, False
        return e, lambda x: x, True

    def _eager(self, type_: str) -> bool:
        return self.grammar.is_enumeration(type_)

    def unfold(self, call: Call) -> Expr:
        """The body of a function with its arguments put in."""
        f = self.known.functions[call.function]
        return substitute(f.body, {p.name: a for p, a in zip(f.params, call.args, strict=True)})

    def _call(
        self,
        call: Call,
        whole: Callable[[Expr], Config],
        bare: bool,
        is_value: bool,
        config: Config,
        path: Path,
    ) -> Config | Iterator[Leaf]:
        recursive = self.known.is_recursive(call.function)
        if self.stack and recursive:
            if self.known.is_deep(call.function) and not (bare and is_value):
                return iter([self._push(whole(Hole()), Config((Val(call),)), path, None)])
            if not is_value:
                parts = self._accumulated(call) if bare else self._appended(call, whole)
                if parts is not None:
                    order = parts[::-1] if self.grammar.reverse else parts
                    return Config((*order, *config.items[1:]), config.stop)
        if (path.word or (path.begun and recursive)) and self._reads(whole(call)):
            return iter([self._leave(whole(call), path)])
        return whole(self.unfold(call))

    def _reads(self, config: Config) -> bool:
        """Whether the first item needs input before it shows a constructor."""
        item = config.items[0]
        expr = item.expr if isinstance(item, Val) else item
        assert not isinstance(expr, Tok | Seek)
        return not isinstance(self.head(expr), Construct)

    def head(self, e: Expr) -> Expr | None:
        """e reduced without reading until its constructor shows; None where it does not."""
        found = self.normal(e)
        return found if isinstance(found, Construct | At) else None

    def normal(self, e: Expr) -> Expr:
        """e reduced, outermost first, until its constructor shows or it has to read."""
        for _ in range(PROBE):
            redex, context, _ = self.find(e)
            match redex:
                case Call():
                    e = context(self.unfold(redex))
                case Match(scrutinee=Construct() as made):
                    e = context(iota(redex, made))
                case Let(name, _, value, body):
                    e = context(substitute(body, {name: value}))
                case _:
                    break
        return e

    # lists that end in lists
    def end(self, type_: str) -> Construct:
        """What ends a list without being written."""
        if self.grammar.bare_output and type_ == self.grammar.function.result:
            return Construct(self.known.last(type_), type_)
        return Construct(END_OF + type_, type_)

    def _strip(self, e: Expr, type_: str) -> Expr:
        if self.grammar.bare_output and type_ == self.grammar.function.result:
            return e
        return Call(STRIP + type_, (e,))

    def _accumulated(self, call: Call) -> tuple[Item, ...] | None:
        """f x (a list) as: f x (the end), then the list."""
        if self.grammar.encoding.brackets:
            return None
        for i, a in enumerate(call.args):
            type_ = self.known.functions[call.function].params[i].type
            if (call.function, i) in self.known.accumulators and a != self.end(type_):
                first = Call(call.function, (*call.args[:i], self.end(type_), *call.args[i + 1 :]))
                return first, a
        return None

    def _appended(self, call: Call, whole: Callable[[Expr], Config]) -> tuple[Item, ...] | None:
        """E[call] as: the call without its last constructor, then E[that constructor]."""
        type_ = self.known.functions[call.function].result
        if self.grammar.encoding.brackets or not self.known.is_linear(type_):
            return None
        context = whole(Hole()).items[0]
        assert not isinstance(context, Tok | Val | Seek)
        if context in (Call(STRIP + type_, (Hole(),)), self.normal(Call(STRIP + type_, (Hole(),)))):
            return None
        for c in self.grammar.program.type(type_).constructors:
            unknown = tuple(Opaque(i) for i in range(len(c.args)))
            made = Construct(c.name, type_, unknown)
            if not c.args:
                exit_ = fill(context, made)
                continue
            shown = self.head(fill(context, made))
            if not isinstance(shown, Construct) or shown.constructor != c.name:
                return None
            *front, tail = shown.args
            onward = self.normal(fill(context, unknown[-1]))
            if tuple(front) != unknown[:-1] or self.normal(tail) != onward:
                return None
        closing = self.head(exit_) or exit_
        if isinstance(closing, Construct) and not closing.args and not self._pieces(closing):
            return (self._strip(call, type_),)
        return self._strip(call, type_), closing


def iota(match: Match, made: Construct) -> Expr:
    """The branch of a match on a constructor."""
    if made.constructor.startswith(END_OF) and all(
        a.constructor != made.constructor for a in match.arms
    ):
        raise NoMachine("derive a machine", "a list is read again after another was put at its end")
    arm = match.arm(made.constructor)
    return substitute(arm.body, dict(zip(arm.names, made.args, strict=True)))


def canonical(config: Config) -> tuple[Config, tuple[tuple[str, Place], ...]]:
    """The configuration over registers p, q, r, ... in order of use, and what each stands for."""
    names: dict[tuple[str, int], str] = {}
    for p in places(config):
        if (p.reg, p.k) not in names:
            if len(names) == len(REGISTERS):
                raise Grows
            names[p.reg, p.k] = REGISTERS[len(names)]
    renamed = rewrite_config(config, lambda p: Place(names[p.reg, p.k], 0, p.skips))
    return renamed, tuple((name, Place(reg, k)) for (reg, k), name in names.items())


def _common_stop(frame: Config, focus: Config, prefer: Place | None, short: bool) -> Place | None:
    """Where the focus must stop so that the suspended configuration finds its places."""
    waiting = [p for p in places(frame) if p.skips]
    if not waiting:
        return None
    if prefer is None:
        reached = {(p.reg, p.k) for p in places(focus)}
        near = [p for p in waiting if (p.reg, p.k) in reached]
        prefer = (near or waiting)[0]
    same = [p for p in waiting if (p.reg, p.k) == (prefer.reg, prefer.k)]
    n = 1
    while (
        not short
        and all(
            len(p.skips) > n
            and p.skips[:n] == prefer.skips[:n]
            and p.skips[n][0] == prefer.skips[n][0]
            for p in (*same, prefer)
            if len(prefer.skips) > n
        )
        and len(prefer.skips) > n
    ):
        n += 1
    *front, (type_, _) = prefer.skips[:n]
    return Place(prefer.reg, prefer.k, (*front, (type_, 0)))


__all__ = ["Driver", "Frame", "Grows", "Leaf", "canonical", "nodes", "rewrite"]
