"""One configuration driven to the next: unfold, match, write, until the input or the stack decides.

Driving ends in leaves. A leaf is one rule to be: what was read and written on the way, and where it
goes on. Reading is put off (a new mode starts) once something has been written or pushed, or when
a recursive call that has to read comes up again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from recinterp.derivation.grammar import InputGrammar
from recinterp.derivation.limits import LIMITS
from recinterp.derivation.path import (
    DrivingPath,
    NeedsStack,
    Pushed,
    RuleOutline,
    SeekFirst,
    SuspendedFrame,
    UnknownPlace,
    rename_registers,
    unbounded_error,
)
from recinterp.derivation.program import ProgramFacts
from recinterp.derivation.reduce import SymbolicReducer, select_branch
from recinterp.derivation.suspend import suspend_configuration
from recinterp.derivation.terms import (
    Configuration,
    Evaluate,
    Hole,
    InputPlace,
    InputSubterm,
    Item,
    Mark,
    Owned,
    Return,
    Seek,
    Take,
    WriteToken,
    fill_hole,
    is_closed,
    is_value,
    places_of,
    replace_at,
    rewrite_config,
    substitute,
)
from recinterp.errors import NotDerivableError
from recinterp.semantics.ast import Call, Construct, Expr, Let


class Driver:
    """Drives configurations of one task; `stack`: whether frames may be pushed."""

    def __init__(self, grammar: InputGrammar, known: ProgramFacts, *, stack: bool) -> None:
        self.grammar, self.known, self.stack = grammar, known, stack
        self.reduce = SymbolicReducer(grammar, known)

    # from a configuration to leaves
    def drive_configuration(self, config: Configuration) -> list[RuleOutline]:
        """The rules of a configuration."""
        try:
            return list(self._drive_items(config, DrivingPath(), config))
        except SeekFirst as wanted:
            path = DrivingPath()
            return [self._make_jump(self._seek_first(wanted.place, config, path), path, None)]

    def resume_frame(self, frame: SuspendedFrame, ret: Return) -> list[RuleOutline]:
        """The rules for returning to a frame."""
        config = frame.config
        if ret.value is not None:
            value = ret.value
            items = tuple(
                Evaluate(fill_hole(i.expr, value)) if isinstance(i, Evaluate) else i
                if isinstance(i, WriteToken | Seek | Take) else fill_hole(i, value)
                for i in config.items
            )  # fmt: skip
            config = Configuration(items, config.stop)
        if frame.also:
            takes = tuple(Take(InputPlace(reg, 0)) for reg in frame.also)
            path = DrivingPath(popped=True, last=frame.step)
            return [
                self._make_jump(Configuration((*takes, *config.items), config.stop), path, None)
            ]
        return list(self._drive_items(config, DrivingPath(popped=True, last=frame.step), None))

    def _drive_items(
        self, config: Configuration, path: DrivingPath, start: Configuration | None
    ) -> Iterator[RuleOutline]:
        """`start`: the configuration as it was, while nothing has been read."""
        while True:
            if not config.items:
                yield from self._finish_output(config, None, path, start)
                return
            head, rest = config.items[0], config.items[1:]
            match head:
                case WriteToken(token):
                    self._write_piece(path, token)
                case Take(place):
                    if path.has_read:
                        yield self._make_jump(config, path, None)
                        return
                    path.popped = path.took = True
                    yield from self._drive_items(
                        _bind_to_top_frame(place, Configuration(rest, config.stop)), path, None
                    )
                    return
                case Seek(place):
                    if place.skips:
                        yield from self._split_cases(place, place.skips[0][0], config, path, start)
                        return
                case InputSubterm(place, type_):
                    width = self.grammar.fixed_width(type_)
                    if place.skips or width is None:
                        yield from self._copy_subterm(config, path, start)
                        return
                    self._copy_fixed(path, place, width)
                case Evaluate(Construct() as made) if is_value(made):
                    yield from self._finish_output(config, made, path, start)
                    return
                case Construct():
                    rest = (*self.reduce.output_items(head), *rest)
                case _:
                    done = self._reduce_head(config, path, start)
                    if not isinstance(done, Configuration):
                        yield from done
                        return
                    config = done
                    continue
            config = Configuration(rest, config.stop)

    def _write_piece(self, path: DrivingPath, piece: str | InputPlace) -> None:
        if not path.word:
            path.step = path.last
        path.word.append(piece)
        if len(path.word) > LIMITS.max_written:
            raise NeedsStack if not self.stack else unbounded_error(self.grammar.task.function)

    def _copy_fixed(self, path: DrivingPath, place: InputPlace, width: int) -> None:
        order = range(width)
        for i in reversed(order) if self.grammar.reverse else order:
            self._write_piece(path, path.resolve_place(place.shift(i)))

    def _copy_constructor(
        self, e: Construct, head: InputSubterm, path: DrivingPath
    ) -> tuple[Item, ...]:
        """The pieces of a constructor that stands in the input: its token is copied from there."""
        pieces = self.reduce.output_items(e)
        before, _ = self.grammar.written_tokens(e.constructor, e.type)
        if self.grammar.reverse or not before or Mark.BARE in head.type:
            return pieces
        for token in before[:-1]:
            self._write_piece(path, token)
        self._write_piece(path, path.resolve_place(head.place.shift(len(before) - 1)))
        return pieces[len(before) :]

    # reading
    def _copy_subterm(
        self, config: Configuration, path: DrivingPath, start: Configuration | None
    ) -> Iterator[RuleOutline]:
        head = config.items[0]
        assert isinstance(head, InputSubterm)
        known = path.known.get((head.place.reg, head.place.k, head.type))
        if known is not None and not head.place.skips:
            pieces = self._copy_constructor(known, head, path)
            yield from self._drive_items(
                Configuration((*pieces, *config.items[1:]), config.stop), path, start
            )
        elif path.has_read:
            yield self._end_rule(config, path)
        else:
            yield from self._read_subterm(head, config, path, start)

    def _read_subterm(
        self,
        at: InputSubterm,
        config: Configuration,
        path: DrivingPath,
        start: Configuration | None,
    ) -> Iterator[RuleOutline]:
        """Go on with what stands at a place: read it now, or leave that to a mode of its own."""
        if path.word or self._must_push_rest(config):
            yield self._end_rule(config, path)
        elif at.place.skips:
            yield from self._read_place(at.place, config, path, start)
        else:
            yield from self._split_cases(at.place, at.type, config, path, start)

    def _must_push_rest(self, config: Configuration) -> bool:
        if not self.stack or len(config.items) < 2:
            return False
        head = config.items[0]
        return not isinstance(head, Seek | Take) and not self.reduce.is_quick(head)

    def _read_place(
        self,
        place: InputPlace,
        config: Configuration,
        path: DrivingPath,
        start: Configuration | None,
    ) -> Iterator[RuleOutline]:
        if path.has_read:
            if start is not None and not path.popped:
                earlier = [p for p in places_of(start) if p.skips and p.reg == place.reg]
                if earlier and self._is_chain_place(earlier[0]):
                    raise SeekFirst(earlier[0])
            yield self._end_rule(config, path)
            return
        whole = start or config
        if self._is_chain_place(place):
            yield self._make_jump(self._seek_first(place, whole, path), path, None)
        else:
            yield self._push_frame(whole, Configuration(()), path, place)

    def _is_chain_place(self, place: InputPlace) -> bool:
        return all(self.grammar.is_chain(t) for t, _ in place.skips)

    def _seek_first(
        self, place: InputPlace, config: Configuration, path: DrivingPath
    ) -> Configuration:
        """The configuration with a register of its own for a place, which is sought first."""
        first, own = place.skips[0][0], f"~{len(path.alias)}"
        path.alias[own] = InputPlace(place.reg, 0)

        def on(p: InputPlace) -> InputPlace:
            ours = (p.reg, p.k) == (place.reg, place.k) and p.skips and p.skips[0][0] == first
            return replace(p, reg=own) if ours else p

        return rewrite_config(Configuration((Seek(place), *config.items), config.stop), on)

    def _split_cases(
        self,
        place: InputPlace,
        type_: str,
        config: Configuration,
        path: DrivingPath,
        start: Configuration | None,
    ) -> Iterator[RuleOutline]:
        """One path for each way the subterm at a place can begin."""
        if path.word or (path.has_read and config.items and isinstance(config.items[0], Seek)):
            yield self._end_rule(config, path)
            return
        base = InputPlace(place.reg, place.k)
        for case in self.grammar.forms_of(type_):
            here = path.fork()
            inner, end = self.grammar.place_arguments(case, base)
            for offset, tokens in case.reads:
                here.reads.append((base.shift(offset), tokens))
            args = tuple(InputSubterm(p, t) for p, t in zip(inner, case.children, strict=True))
            value = Construct(case.constructor, type_.partition(Mark.BARE)[0], args)
            here.known[base.reg, base.k, type_] = value

            def on(p: InputPlace, end: InputPlace = end) -> InputPlace:
                if (p.reg, p.k) == (base.reg, base.k) and p.skips and p.skips[0][0] == type_:
                    return end.shift_and_skip(p.skips[0][1], p.skips[1:])
                return p

            now = rewrite_config(config, on)
            if self.grammar.is_enumeration(type_):
                now = Configuration(
                    tuple(replace_at(i, InputSubterm(base, type_), value) for i in now.items),
                    now.stop,
                )
            yield from self._drive_items(now, here, start)

    def _finish_output(
        self,
        config: Configuration,
        value: Construct | None,
        path: DrivingPath,
        start: Configuration | None,
    ) -> Iterator[RuleOutline]:
        """Everything is written: bring the pointer where it must stand, and return."""
        stop = config.stop
        if stop is None or not stop.skips:
            sets = () if stop is None else (("p", path.resolve_place(stop)),)
            yield self._make_rule(path, sets, None, Return(value))
            return
        type_, j = stop.skips[0]
        if path.word:
            yield self._end_rule(config, path)
        elif not self.grammar.is_chain(type_) and (len(stop.skips) > 1 or j):
            yield self._push_frame(config, Configuration(()), path, stop, short=True)
        elif path.has_read:
            yield self._end_rule(config, path)
        else:
            yield from self._split_cases(stop, type_, config, path, start)

    # leaving
    def _end_rule(self, config: Configuration, path: DrivingPath) -> RuleOutline:
        if self._must_push_rest(config):
            rest = Configuration(config.items[1:], config.stop)
            try:
                return self._push_frame(rest, Configuration(config.items[:1]), path, None)
            except UnknownPlace as e:
                return self._seek_place(e.place, config, path)
        return self._make_jump(config, path, None)

    def _make_jump(
        self, config: Configuration, path: DrivingPath, push: Pushed | None
    ) -> RuleOutline:
        config, sets = rename_registers(config)
        real = tuple((name, path.resolve_place(p)) for name, p in sets)
        return self._make_rule(path, real, push, config)

    def _make_rule(
        self,
        path: DrivingPath,
        sets: tuple[tuple[str, InputPlace], ...],
        push: Pushed | None,
        target: Configuration | Return,
    ) -> RuleOutline:
        reads: dict[InputPlace, tuple[str, ...]] = {}
        for p, tokens in path.reads:
            known = reads.get(path.resolve_place(p), tokens)
            reads[path.resolve_place(p)] = tuple(x for x in known if x in tokens)
        step = path.step if path.word else path.last
        return RuleOutline(
            tuple(reads.items()), tuple(path.word), sets, push, target, step, path.took
        )

    def _push_frame(
        self,
        frame: Configuration,
        focus: Configuration,
        path: DrivingPath,
        prefer: InputPlace | None,
        short: bool = False,
    ) -> RuleOutline:
        """Suspend a configuration and go on with another, which ends where the first needs it."""
        if not self.stack:
            raise NeedsStack
        suspended, pointers, stop = suspend_configuration(frame, focus, path, prefer, short)
        return self._make_jump(Configuration(focus.items, stop), path, (suspended, pointers))

    def _seek_place(
        self, place: InputPlace, config: Configuration, path: DrivingPath
    ) -> RuleOutline:
        """Look for a place before a configuration is suspended."""
        if not self._is_chain_place(place):
            raise NotDerivableError(
                f"derive a machine for {self.grammar.task.function}",
                "a suspended call needs two places that are not yet known",
                "rewrite it so that one argument is walked while the others wait",
            )
        return self._make_jump(self._seek_first(place, config, path), path, None)

    # reducing
    def _reduce_head(
        self, config: Configuration, path: DrivingPath, start: Configuration | None
    ) -> Configuration | Iterator[RuleOutline]:
        """One δβ, ι or ζ step in the first item; leaves where it cannot be had without reading."""
        head, rest = config.items[0], config.items[1:]
        evaluates = isinstance(head, Evaluate)
        redex, context, bare = self.reduce.find_redex(_first_expression(config), whole=evaluates)

        def whole(e: Expr) -> Configuration:
            filled = context(e)
            return Configuration((Evaluate(filled) if evaluates else filled, *rest), config.stop)

        match redex:
            case InputSubterm(place, type_):
                known = path.known.get((place.reg, place.k, type_))
                if known is not None and not place.skips:
                    return whole(known)
                if (
                    path.has_read
                    and isinstance(head, Evaluate)
                    and isinstance(head.expr, Construct)
                ):
                    return iter([self._end_rule(config, path)])  # part by part
                return self._read_subterm(redex, config, path, start)
            case Call():
                return self._reduce_call(redex, whole, bare, evaluates, config, path)
            case Owned(scrutinee=Construct() as made, owner=owner):
                if owner:
                    path.last = f"ι {owner} {made.constructor}"
                return whole(select_branch(redex, made))
            case Let(name, _, value, body):
                return whole(substitute(body, {name: value}))
        raise NotDerivableError(
            f"derive a machine for {self.grammar.task.function}",
            f"the derivation is stuck at {redex}",
        )

    def _reduce_call(
        self,
        call: Call,
        whole: Callable[[Expr], Configuration],
        bare: bool,
        evaluates: bool,
        config: Configuration,
        path: DrivingPath,
    ) -> Configuration | Iterator[RuleOutline]:
        recursive = self.known.is_recursive(call.function)
        if self.known.by_value and (evaluates or not bare) and is_closed(call):
            return whole(self.reduce.evaluate_closed(call))
        if self.stack and recursive and self._must_suspend(call, bare=bare, evaluates=evaluates):
            return iter([self._suspend_context(call, whole, path)])
        if self.stack and recursive and not evaluates:
            split = self._split_output(call, whole, bare, config)
            if split is not None:
                return split
        if (path.word or (path.has_read and recursive)) and self._needs_input(whole(call)):
            return iter([self._end_rule(whole(call), path)])
        return whole(self.reduce.unfold_call(call))

    def _must_suspend(self, call: Call, *, bare: bool, evaluates: bool) -> bool:
        """Whether what waits for a call needs a frame, as the call is not written as it comes."""
        is_written = bare and (evaluates or self._is_put(call))
        return self.known.is_deep(call.function) and not is_written

    def _suspend_context(
        self, call: Call, whole: Callable[[Expr], Configuration], path: DrivingPath
    ) -> RuleOutline:
        """Push what waits for a call, and go on with the call."""
        focus = Configuration((Evaluate(call),))
        try:
            return self._push_frame(whole(Hole()), focus, path, None)
        except UnknownPlace as e:
            return self._seek_place(e.place, whole(call), path)

    def _split_output(
        self,
        call: Call,
        whole: Callable[[Expr], Configuration],
        bare: bool,
        config: Configuration,
    ) -> Configuration | None:
        """The call and its context as items written one after the other; None if they are not."""
        around = _first_expression(whole(Hole()))
        if bare:
            parts = self.reduce.split_accumulator(call)
        else:
            parts = self.reduce.split_context(call, around)
        if parts is None:
            return None
        order = parts[::-1] if self.grammar.reverse else parts
        return Configuration((*order, *config.items[1:]), config.stop)

    def _is_put(self, call: Call) -> bool:
        """Whether a call in place of the output is written as it comes, not worked out first."""
        type_ = self.known.functions[call.function].result
        return self.known.by_value and not self.grammar.is_enumeration(type_)

    def _needs_input(self, config: Configuration) -> bool:
        """Whether the first item needs input before it shows a constructor."""
        return not isinstance(self.reduce.reduce_to_head(_first_expression(config)), Construct)


def _first_expression(config: Configuration) -> Expr:
    """The expression of the first item."""
    item = config.items[0]
    expr = item.expr if isinstance(item, Evaluate) else item
    assert not isinstance(expr, WriteToken | Seek | Take)
    return expr


def _bind_to_top_frame(place: InputPlace, config: Configuration) -> Configuration:
    """The configuration with what a register stands for being the top frame's pointer."""
    return rewrite_config(config, lambda p: replace(p, reg=Mark.SAVED) if p.reg == place.reg else p)
