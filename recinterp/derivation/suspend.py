"""Suspending a configuration: which places a frame must hold, which the pointer will find.

What waits may mention places behind something that the other part still has to walk through: the
pointer will stand there. Places that are known are saved, one pointer a frame.
"""

from __future__ import annotations

from recinterp.derivation.path import DrivingPath, SuspendedFrame, UnknownPlace
from recinterp.derivation.terms import (
    Configuration,
    InputPlace,
    Mark,
    WriteToken,
    places_of,
    rewrite_config,
)


def suspend_configuration(
    frame: Configuration,
    focus: Configuration,
    path: DrivingPath,
    prefer: InputPlace | None,
    short: bool,
) -> tuple[SuspendedFrame, tuple[InputPlace, ...], InputPlace | None]:
    """The frame, its pointers, and where the focus must stop. Errors: UnknownPlace."""
    stop = _common_stop(frame, focus, prefer, short)
    low: dict[str, int] = {}
    for p in places_of(frame):
        if not p.skips:
            real = path.resolve_place(p)
            low[real.reg] = min(real.k, low.get(real.reg, real.k))
    name = {reg: f"{Mark.BELOW}{i}" if i else Mark.SAVED for i, reg in enumerate(low)}

    def on(p: InputPlace) -> InputPlace:
        if not p.skips:
            real = path.resolve_place(p)
            return InputPlace(name[real.reg], real.k - low[real.reg])
        assert stop is not None
        if (p.reg, p.k) != (stop.reg, stop.k) or len(p.skips) < len(stop.skips):
            raise UnknownPlace(p)
        n = len(stop.skips)
        return InputPlace("p", 0).shift_and_skip(p.skips[n - 1][1], p.skips[n:])

    waiting = rewrite_config(frame, on)
    step = path.last if any(not isinstance(i, WriteToken) for i in frame.items) else None
    pointers = tuple(InputPlace(reg, k) for reg, k in low.items())
    return SuspendedFrame(waiting, step, tuple(name.values())[1:]), pointers, stop


def _common_stop(
    frame: Configuration, focus: Configuration, prefer: InputPlace | None, short: bool
) -> InputPlace | None:
    """Where the focus must stop so that the suspended configuration finds its places."""
    waiting = [p for p in places_of(frame) if p.skips]
    if not waiting:
        return None
    if prefer is None:
        reached = {(p.reg, p.k) for p in places_of(focus)}
        near = [p for p in waiting if (p.reg, p.k) in reached]
        prefer = (near or waiting)[0]
    same = [p for p in waiting if (p.reg, p.k) == (prefer.reg, prefer.k)]
    n = 1
    while not short and len(prefer.skips) > n and all(_agree(p, prefer, n) for p in same):
        n += 1
    *front, (type_, _) = prefer.skips[:n]
    return InputPlace(prefer.reg, prefer.k, (*front, (type_, 0)))


def _agree(p: InputPlace, other: InputPlace, n: int) -> bool:
    """Whether two places have the first n skips in common, and the type of the next."""
    return (
        len(p.skips) > n and p.skips[:n] == other.skips[:n] and p.skips[n][0] == other.skips[n][0]
    )
