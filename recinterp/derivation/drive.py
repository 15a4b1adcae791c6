"""One configuration driven to the next: unfold, match, write, until the input or the stack decides.

Driving ends in leaves. A leaf is one rule to be: what was read and written on the way, and where it
goes on. Reading is put off (a new mode starts) once something has been written or pushed, or when
a recursive call that has to read comes up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from recinterp.derivation.grammar import BARE, Grammar
from recinterp.derivation.path import (
    Frame,
    Grows,
    Hoist,
    Leaf,
    Path,
    Pushed,
    Unknown,
    canonical,
    grown,
)
from recinterp.derivation.program import Known
from recinterp.derivation.reduce import Reducer, iota
from recinterp.derivation.suspend import suspend
from recinterp.derivation.terms import (
    SAVED,
    At,
    Config,
    Hole,
    Item,
    Owned,
    Place,
    Ret,
    Seek,
    Take,
    Tok,
    Val,
    fill,
    is_closed,
    is_value,
    places,
    replace_at,
    rewrite_config,
    substitute,
)
from recinterp.errors import NotDerivableError
from recinterp.semantics.ast import Call, Construct, Expr, Let

LONGEST = 60  # tokens written between two that are read


class Driver:
    """Drives configurations of one task; `stack`: whether frames may be pushed."""

    def __init__(self, grammar: Grammar, known: Known, *, stack: bool) -> None:
        self.grammar, self.known, self.stack = grammar, known, stack
        self.reduce = Reducer(grammar, known)

    # from a configuration to leaves
    def drive(self, config: Config) -> list[Leaf]:
        """The rules of a configuration."""
        try:
            return list(self._drive_items(config, Path(), config))
        except Hoist as wanted:
            path = Path()
            return [self._make_jump(self._seek_first(wanted.place, config, path), path, None)]

    def resume(self, frame: Frame, ret: Ret) -> list[Leaf]:
        """The rules for returning to a frame."""
        config = frame.config
        if ret.value is not None:
            value = ret.value
            items = tuple(
                Val(fill(i.expr, value)) if isinstance(i, Val) else i
                if isinstance(i, Tok | Seek | Take) else fill(i, value)
                for i in config.items
            )  # fmt: skip
            config = Config(items, config.stop)
        if frame.also:
            takes = tuple(Take(Place(reg, 0)) for reg in frame.also)
            path = Path(popped=True, last=frame.step)
            return [self._make_jump(Config((*takes, *config.items), config.stop), path, None)]
        return list(self._drive_items(config, Path(popped=True, last=frame.step), None))

    def _drive_items(self, config: Config, path: Path, start: Config | None) -> Iterator[Leaf]:
        """`start`: the configuration as it was, while nothing has been read."""
        while True:
            if not config.items:
                yield from self._finish_output(config, None, path, start)
                return
            head, rest = config.items[0], config.items[1:]
            match head:
                case Tok(token):
                    self._write_piece(path, token)
                case Take(place):
                    if path.begun:
                        yield self._make_jump(config, path, None)
                        return
                    path.popped = path.took = True
                    yield from self._drive_items(
                        _bind_to_top_frame(place, Config(rest, config.stop)), path, None
                    )
                    return
                case Seek(place):
                    if place.skips:
                        yield from self._split_cases(place, place.skips[0][0], config, path, start)
                        return
                case At(place, type_):
                    width = self.grammar.fixed(type_)
                    if place.skips or width is None:
                        yield from self._copy_subterm(config, path, start)
                        return
                    self._copy_fixed(path, place, width)
                case Val(Construct() as made) if is_value(made):
                    yield from self._finish_output(config, made, path, start)
                    return
                case Construct():
                    rest = (*self.reduce.pieces(head), *rest)
                case _:
                    done = self._reduce_head(config, path, start)
                    if not isinstance(done, Config):
                        yield from done
                        return
                    config = done
                    continue
            config = Config(rest, config.stop)

    def _write_piece(self, path: Path, piece: str | Place) -> None:
        if not path.word:
            path.step = path.last
        path.word.append(piece)
        if len(path.word) > LONGEST:
            raise Grows if not self.stack else grown(self.grammar.task.function)

    def _copy_fixed(self, path: Path, place: Place, width: int) -> None:
        order = range(width)
        for i in reversed(order) if self.grammar.reverse else order:
            self._write_piece(path, path.real(place.plus(i)))

    def _copy_constructor(self, e: Construct, head: At, path: Path) -> tuple[Item, ...]:
        """The pieces of a constructor that stands in the input: its token is copied from there."""
        pieces = self.reduce.pieces(e)
        before, _ = self.grammar.written(e.constructor, e.type)
        if self.grammar.reverse or not before or BARE in head.type:
            return pieces
        for token in before[:-1]:
            self._write_piece(path, token)
        self._write_piece(path, path.real(head.place.plus(len(before) - 1)))
        return pieces[len(before) :]

    # reading
    def _copy_subterm(self, config: Config, path: Path, start: Config | None) -> Iterator[Leaf]:
        head = config.items[0]
        assert isinstance(head, At)
        known = path.known.get((head.place.reg, head.place.k, head.type))
        if known is not None and not head.place.skips:
            pieces = self._copy_constructor(known, head, path)
            yield from self._drive_items(
                Config((*pieces, *config.items[1:]), config.stop), path, start
            )
        elif path.begun:
            yield self._end_rule(config, path)
        else:
            yield from self._read_subterm(head, config, path, start)

    def _read_subterm(
        self, at: At, config: Config, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        """Go on with what stands at a place: read it now, or leave that to a mode of its own."""
        if path.word or self._must_push_rest(config):
            yield self._end_rule(config, path)
        elif at.place.skips:
            yield from self._read_place(at.place, config, path, start)
        else:
            yield from self._split_cases(at.place, at.type, config, path, start)

    def _must_push_rest(self, config: Config) -> bool:
        if not self.stack or len(config.items) < 2:
            return False
        head = config.items[0]
        return not isinstance(head, Seek | Take) and not self.reduce.is_quick(head)

    def _read_place(
        self, place: Place, config: Config, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        if path.begun:
            if start is not None and not path.popped:
                earlier = [p for p in places(start) if p.skips and p.reg == place.reg]
                if earlier and self._is_chain_place(earlier[0]):
                    raise Hoist(earlier[0])
            yield self._end_rule(config, path)
            return
        whole = start or config
        if self._is_chain_place(place):
            yield self._make_jump(self._seek_first(place, whole, path), path, None)
        else:
            yield self._push_frame(whole, Config(()), path, place)

    def _is_chain_place(self, place: Place) -> bool:
        return all(self.grammar.is_chain(t) for t, _ in place.skips)

    def _seek_first(self, place: Place, config: Config, path: Path) -> Config:
        """The configuration with a register of its own for a place, which is sought first."""
        first, own = place.skips[0][0], f"~{len(path.alias)}"
        path.alias[own] = Place(place.reg, 0)

        def on(p: Place) -> Place:
            ours = (p.reg, p.k) == (place.reg, place.k) and p.skips and p.skips[0][0] == first
            return replace(p, reg=own) if ours else p

        return rewrite_config(Config((Seek(place), *config.items), config.stop), on)

    def _split_cases(
        self, place: Place, type_: str, config: Config, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        """One path for each way the subterm at a place can begin."""
        if path.word or (path.begun and config.items and isinstance(config.items[0], Seek)):
            yield self._end_rule(config, path)
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
                now = Config(
                    tuple(replace_at(i, At(base, type_), value) for i in now.items), now.stop
                )
            yield from self._drive_items(now, here, start)

    def _finish_output(
        self, config: Config, value: Construct | None, path: Path, start: Config | None
    ) -> Iterator[Leaf]:
        """Everything is written: bring the pointer where it must stand, and return."""
        stop = config.stop
        if stop is None or not stop.skips:
            sets = () if stop is None else (("p", path.real(stop)),)
            yield self._make_rule(path, sets, None, Ret(value))
            return
        type_, j = stop.skips[0]
        if path.word:
            yield self._end_rule(config, path)
        elif not self.grammar.is_chain(type_) and (len(stop.skips) > 1 or j):
            yield self._push_frame(config, Config(()), path, stop, short=True)
        elif path.begun:
            yield self._end_rule(config, path)
        else:
            yield from self._split_cases(stop, type_, config, path, start)

    # leaving
    def _end_rule(self, config: Config, path: Path) -> Leaf:
        if self._must_push_rest(config):
            rest = Config(config.items[1:], config.stop)
            try:
                return self._push_frame(rest, Config(config.items[:1]), path, None)
            except Unknown as e:
                return self._seek_place(e.place, config, path)
        return self._make_jump(config, path, None)

    def _make_jump(self, config: Config, path: Path, push: Pushed | None) -> Leaf:
        config, sets = canonical(config)
        real = tuple((name, path.real(p)) for name, p in sets)
        return self._make_rule(path, real, push, config)

    def _make_rule(
        self,
        path: Path,
        sets: tuple[tuple[str, Place], ...],
        push: Pushed | None,
        target: Config | Ret,
    ) -> Leaf:
        reads: dict[Place, tuple[str, ...]] = {}
        for p, tokens in path.reads:
            known = reads.get(path.real(p), tokens)
            reads[path.real(p)] = tuple(x for x in known if x in tokens)
        step = path.step if path.word else path.last
        return Leaf(tuple(reads.items()), tuple(path.word), sets, push, target, step, path.took)

    def _push_frame(
        self, frame: Config, focus: Config, path: Path, prefer: Place | None, short: bool = False
    ) -> Leaf:
        """Suspend a configuration and go on with another, which ends where the first needs it."""
        if not self.stack:
            raise Grows
        suspended, pointers, stop = suspend(frame, focus, path, prefer, short)
        return self._make_jump(Config(focus.items, stop), path, (suspended, pointers))

    def _seek_place(self, place: Place, config: Config, path: Path) -> Leaf:
        """Look for a place before a configuration is suspended."""
        if not self._is_chain_place(place):
            raise NotDerivableError(
                f"derive a machine for {self.grammar.task.function}",
                "a suspended call needs two places that are not yet known",
                "one argument that is walked while the others wait",
            )
        return self._make_jump(self._seek_first(place, config, path), path, None)

    # reducing
    def _reduce_head(
        self, config: Config, path: Path, start: Config | None
    ) -> Config | Iterator[Leaf]:
        """One δβ, ι or ζ step in the first item; leaves where it cannot be had without reading."""
        head, rest = config.items[0], config.items[1:]
        asked = isinstance(head, Val)
        redex, context, bare = self.reduce.find(_first_expression(config), whole=asked)

        def whole(e: Expr) -> Config:
            filled = context(e)
            return Config((Val(filled) if asked else filled, *rest), config.stop)

        match redex:
            case At(place, type_):
                known = path.known.get((place.reg, place.k, type_))
                if known is not None and not place.skips:
                    return whole(known)
                if path.begun and isinstance(head, Val) and isinstance(head.expr, Construct):
                    return iter([self._end_rule(config, path)])  # part by part
                return self._read_subterm(redex, config, path, start)
            case Call():
                return self._reduce_call(redex, whole, bare, asked, config, path)
            case Owned(scrutinee=Construct() as made, owner=owner):
                if owner:
                    path.last = f"ι {owner} {made.constructor}"
                return whole(iota(redex, made))
            case Let(name, _, value, body):
                return whole(substitute(body, {name: value}))
        raise NotDerivableError(
            f"derive a machine for {self.grammar.task.function}", f"stuck at {redex}"
        )

    def _reduce_call(
        self,
        call: Call,
        whole: Callable[[Expr], Config],
        bare: bool,
        asked: bool,
        config: Config,
        path: Path,
    ) -> Config | Iterator[Leaf]:
        recursive = self.known.is_recursive(call.function)
        if self.known.by_value and (asked or not bare) and is_closed(call):
            return whole(self.reduce.value(call))
        if self.stack and recursive:
            if self.known.is_deep(call.function) and not (bare and (asked or self._is_put(call))):
                try:
                    return iter([self._push_frame(whole(Hole()), Config((Val(call),)), path, None)])
                except Unknown as e:
                    return iter([self._seek_place(e.place, whole(call), path)])
            if not asked:
                around = _first_expression(whole(Hole()))
                parts = self.reduce.accumulated(call) if bare else self.reduce.around(call, around)
                if parts is not None:
                    order = parts[::-1] if self.grammar.reverse else parts
                    return Config((*order, *config.items[1:]), config.stop)
        if (path.word or (path.begun and recursive)) and self._needs_input(whole(call)):
            return iter([self._end_rule(whole(call), path)])
        return whole(self.reduce.unfold(call))

    def _is_put(self, call: Call) -> bool:
        """Whether a call in place of the output is written as it comes, not worked out first."""
        type_ = self.known.functions[call.function].result
        return self.known.by_value and not self.grammar.is_enumeration(type_)

    def _needs_input(self, config: Config) -> bool:
        """Whether the first item needs input before it shows a constructor."""
        return not isinstance(self.reduce.head(_first_expression(config)), Construct)


def _first_expression(config: Config) -> Expr:
    """The expression of the first item."""
    item = config.items[0]
    expr = item.expr if isinstance(item, Val) else item
    assert not isinstance(expr, Tok | Seek | Take)
    return expr


def _bind_to_top_frame(place: Place, config: Config) -> Config:
    """The configuration with what a register stands for being the top frame's pointer."""
    return rewrite_config(config, lambda p: replace(p, reg=SAVED) if p.reg == place.reg else p)
