"""Smaller machines that do the same: no dead updates, trivial modes or bisimilar modes.

Two modes are bisimilar when, token by token, their rules test, write and update the same and go on
to bisimilar modes. For a machine without a stack that reads one token a step this is the minimal
subsequential form, given that each token is written as early as it can be.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    READ_ONLY,
    Atom,
    Const,
    Copy,
    Emit,
    Expr,
    In,
    Push,
    Reg,
    Rule,
    Set,
    TopIs,
    Update,
    walk,
)
from recinterp.machine.transform.compose import compose_steps, substitute_registers


def minimise_machine(machine: Machine) -> Machine:
    """A machine of the same function with fewer rules and modes.

    Outputs, halting and abstention are equal on every input.
    """
    while True:
        before = machine
        for step in (
            _absorb_first_rule,
            _drop_dead_updates,
            _drop_unread_pointers,
            _compose_modes,
            _merge_modes,
            _merge_frames,
            _merge_rules,
            _drop_unreachable,
        ):
            machine = step(machine)
        if machine == before:
            return _shorten_names(_drop_unused_declarations(machine))


def _absorb_first_rule(machine: Machine) -> Machine:
    """Without a first rule that only sets registers: they begin with those values."""
    first = machine.rules_of(machine.start)
    if len(first) != 1 or not _only_sets_registers(first[0]):
        return machine
    rule = first[0]
    if rule.goto is None or any(r.goto == machine.start for r in machine.rules):
        return machine
    sets = {u.reg: u.to for u in rule.updates if isinstance(u, Set)}
    if sets.keys() & _registers_named(machine.domain):
        return machine
    before = dict(machine.registers)
    given = before | {reg: substitute_registers(to, before) for reg, to in sets.items()}
    rules = tuple(r for r in machine.rules if r is not rule)
    return replace(machine, start=rule.goto, registers=tuple(given.items()), rules=rules)


def _only_sets_registers(rule: Rule) -> bool:
    return not rule.guard and all(isinstance(u, Set) for u in rule.updates)


def _registers_named(atoms: Iterable[Atom]) -> set[str]:
    return {x.name for atom in atoms for x in walk(atom) if isinstance(x, Reg)}


def _shorten_names(machine: Machine) -> Machine:
    """Names without a number where the name itself is free."""
    modes, frames = _plain_names(machine.modes), _plain_names(machine.frames)
    rules = []
    for r in _rename_frames(machine.rules, frames):
        mode = modes.get(r.mode, r.mode)
        name = mode + r.name[len(r.mode) :] if r.name.startswith(r.mode) else r.name
        rules.append(replace(r, name=name, mode=mode, goto=modes.get(r.goto or "", r.goto)))
    return replace(
        machine,
        start=modes.get(machine.start, machine.start),
        frames=tuple(frames.get(f, f) for f in machine.frames),
        rules=tuple(rules),
    )


def _plain_names(names: Iterable[str]) -> dict[str, str]:
    used, found = set(names), {}
    for name in sorted(used):
        base, _, number = name.rpartition(".")
        if number.isdigit() and base and base not in used:
            found[name] = base
            used.add(base)
    return found


# what is read and never used
def _drop_dead_updates(machine: Machine) -> Machine:
    """Drop updates of registers that are not read before they are set again."""
    live: dict[str | None, frozenset[str]] = {None: frozenset()}
    live |= {mode: frozenset() for mode in machine.modes}
    changed = True
    while changed:
        changed = False
        for rule in machine.rules:
            needed = live[rule.mode] | _registers_read(rule, live[rule.goto])
            changed = changed or needed != live[rule.mode]
            live[rule.mode] = needed
    return machine.with_rules(
        [
            replace(r, updates=tuple(
                u for u in r.updates if not isinstance(u, Set) or u.reg in live[r.goto]
            ))
            for r in machine.rules
        ]
    )  # fmt: skip


def _registers_read(rule: Rule, after: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    sets = {u.reg for u in rule.updates if isinstance(u, Set)}
    for part in (*rule.guard, *rule.updates):
        if not isinstance(part, Set) or part.reg in after:
            found |= {x.name for x in walk(part) if isinstance(x, Reg)}
    return frozenset(found | (after - sets)) - set(READ_ONLY)


def _drop_unused_declarations(machine: Machine) -> Machine:
    """Without registers and frames that no rule mentions."""
    parts = [x for r in machine.rules for part in (*r.guard, *r.updates) for x in walk(part)]
    registers = {x.name for x in parts if isinstance(x, Reg)} | _registers_named(machine.domain)
    frames = {x.frame for x in parts if isinstance(x, Push | TopIs)}
    return replace(
        machine,
        registers=tuple((n, e) for n, e in machine.registers if n in registers),
        frames=tuple(f for f in machine.frames if f in frames),
    )


def _drop_unreachable(machine: Machine) -> Machine:
    """Without modes that no run comes to, and rules for frames that are never pushed."""
    pushed = {u.frame for r in machine.rules for u in r.updates if isinstance(u, Push)}
    rules = [
        r
        for r in machine.rules
        if all(not isinstance(a, TopIs) or a.frame is None or a.frame in pushed for a in r.guard)
    ]
    alive = {r.mode for r in rules}
    rules += [r for r in machine.rules if r.mode not in alive]  # a mode that is named has a rule
    reached = _reached_modes(machine.start, rules)
    return machine.with_rules([r for r in rules if r.mode in reached])


def _reached_modes(start: str, rules: Iterable[Rule]) -> set[str]:
    """The modes that the rules lead to from the start, itself included."""
    goto: dict[str, set[str]] = {}
    for r in rules:
        if r.goto is not None:
            goto.setdefault(r.mode, set()).add(r.goto)
    reached, work = {start}, [start]
    while work:
        new = goto.get(work.pop(), set()) - reached
        reached |= new
        work += new
    return reached


def _drop_unread_pointers(machine: Machine) -> Machine:
    """Without the pointers of frames that no rule looks at."""
    looks: set[str | None] = set()
    for r in machine.rules:
        if any(x == Reg("top") for part in (*r.guard, *r.updates) for x in walk(part)):
            tops = {a.frame for a in r.guard if isinstance(a, TopIs)}
            looks |= tops or set(machine.frames)

    def seen(u: Update) -> Update:
        return Push(u.frame, Const(0)) if isinstance(u, Push) and u.frame not in looks else u

    return machine.with_rules(
        [replace(r, updates=tuple(map(seen, r.updates))) for r in machine.rules]
    )


def _compose_modes(machine: Machine) -> Machine:
    return compose_steps(machine, _drop_dead_updates)


# merging
def _merge_modes(machine: Machine) -> Machine:
    """One mode for each class of bisimilar ones."""
    actions = {mode: [_token_actions(r) for r in machine.rules_of(mode)] for mode in machine.modes}
    block: dict[str, int] = dict.fromkeys(machine.modes, 0)
    while True:
        signature = {
            mode: frozenset(
                (act, None if goto is None else block[goto]) for acts, goto in rules for act in acts
            )
            for mode, rules in actions.items()
        }
        numbers: dict[object, int] = {}
        new = {mode: numbers.setdefault((block[mode], signature[mode]), len(numbers))
               for mode in machine.modes}  # fmt: skip
        if len(numbers) == len(set(block.values())):
            break
        block = new
    if len(numbers) == len(machine.modes):
        return machine
    return _merge_blocks(machine, block)


def _token_actions(rule: Rule) -> tuple[frozenset[object], str | None]:
    """The effects of a rule, for each single token that its guards allow."""
    reads = [a for a in rule.guard if isinstance(a, In)]
    others = frozenset(a for a in rule.guard if not isinstance(a, In))
    rest = Counter(u for u in rule.updates if not isinstance(u, Emit | Push))
    pushes = tuple(u for u in rule.updates if isinstance(u, Push))
    found: set[object] = set()
    for known in _consistent_reads(reads):
        word = tuple(known.get(x.at, x) if isinstance(x, Copy) else x for x in rule.word)
        found.add((frozenset(known.items()), others, word, frozenset(rest.items()), pushes))
    return frozenset(found), rule.goto


def _consistent_reads(reads: Sequence[In]) -> Iterator[dict[Expr, str]]:
    """Every choice of one token for each atom: place -> token. One place cannot hold two."""
    for tokens in product(*(a.tokens for a in reads)):
        known = {a.at: x for a, x in zip(reads, tokens, strict=True)}
        if all(known[a.at] == x for a, x in zip(reads, tokens, strict=True)):
            yield known


def _merge_blocks(machine: Machine, block: Mapping[str, int]) -> Machine:
    groups: dict[int, list[str]] = {}
    for mode in machine.modes:
        groups.setdefault(block[mode], []).append(mode)
    order = (machine.start, "copy")  # the modes whose names a block takes first
    name = {i: min(g, key=lambda m: (m not in order[:1], m not in order, len(m), m))
            for i, g in groups.items()}  # fmt: skip
    rules = []
    for i, group in groups.items():
        chosen = min(group, key=lambda m: (-_count_copies(machine, m), len(machine.rules_of(m))))
        origins = [r.origin for m in group for r in machine.rules_of(m)]
        for r in machine.rules_of(chosen):
            goto = None if r.goto is None else name[block[r.goto]]
            origin = (
                r.origin
                if len({*origins}) == 1 or len(group) == 1
                else _merged_origin(machine, group, r)
            )
            label = r.name.replace(chosen, name[i], 1) if r.name.startswith(chosen) else r.name
            rules.append(replace(r, name=label, mode=name[i], goto=goto, origin=origin))
    return replace(machine, start=name[block[machine.start]], rules=tuple(rules))


def _count_copies(machine: Machine, mode: str) -> int:
    return sum(isinstance(x, Copy) for r in machine.rules_of(mode) for x in r.word)


def _merged_origin(machine: Machine, group: Iterable[str], rule: Rule) -> str | None:
    """The ι-steps of a rule and of those it is merged with."""
    mine = _token_actions(rule)[0]
    return join_origins(
        r.origin for m in group for r in machine.rules_of(m) if _token_actions(r)[0] & mine
    )


def join_origins(origins: Iterable[str | None]) -> str | None:
    """Several ι-steps in one text; None where there are none, or too many to read."""
    parts = sorted({p for o in origins if o for p in o.split(" | ")})
    return " | ".join(parts) if 0 < len(parts) <= 4 else None


def _merge_frames(machine: Machine) -> Machine:
    """One label for two whose frames are always treated alike."""
    rules, names = list(machine.rules), list(machine.frames)
    unnamed = dict.fromkeys(names, "")
    alike = {f: _frame_treatment(rules, f, unnamed) for f in names}
    for one in machine.frames:
        for other in names[names.index(one) + 1 :] if one in names else ():
            both = {TopIs(one), TopIs(other)}
            if alike[one] != alike[other] or any(both <= {*r.guard} for r in rules):
                continue  # a rule that tests for both never fires, and would for one
            seen = {f: _frame_treatment(rules, f, {other: one}) for f in (one, other)}
            if seen[one] and seen[one] == seen[other]:
                rules = _rename_frames(rules, {other: one})
                names.remove(other)
    return replace(machine, frames=tuple(names), rules=tuple(rules))


def _frame_treatment(
    rules: Iterable[Rule], frame: str, names: Mapping[str, str]
) -> dict[str, set[object]]:
    """Mode -> what its rules do when a frame is on top."""
    found: dict[str, set[object]] = {}
    for r in rules:
        if TopIs(frame) in r.guard:
            guard = frozenset(a for a in r.guard if not isinstance(a, TopIs))
            updates = tuple(_rename_frame(u, names) for u in r.updates)
            found.setdefault(r.mode, set()).add((guard, updates, r.goto))
    return found


def _rename_frame(u: Update, names: Mapping[str, str]) -> Update:
    return Push(names.get(u.frame, u.frame), u.at) if isinstance(u, Push) else u


def _rename_frames(rules: Iterable[Rule], names: Mapping[str, str]) -> list[Rule]:
    found: dict[object, Rule] = {}
    for r in rules:
        guard = tuple(dict.fromkeys(
            TopIs(names.get(a.frame, a.frame)) if isinstance(a, TopIs) and a.frame else a
            for a in r.guard
        ))  # fmt: skip
        new = replace(r, guard=guard, updates=tuple(_rename_frame(u, names) for u in r.updates))
        key = (new.mode, guard, new.updates, new.goto)
        old = found.get(key)
        found[key] = replace(old, origin=join_origins([old.origin, new.origin])) if old else new
    return list(found.values())


def _merge_rules(machine: Machine) -> Machine:
    """One rule for several that differ in the token they read at one place.

    The first pair that can be merged, in the order of the rules, is merged first, until there is
    none.
    """
    rules = _MergedRules(machine)
    at = 0
    while at < len(rules.held):
        later = rules.find_partner(at, after=at)
        if later is None:
            at += 1
            continue
        changed: int | None = at
        rules.merge(at, later)
        while changed is not None:  # a changed rule may now fit one before it
            earlier = rules.find_partner(changed, before=changed)
            if earlier is not None:
                rules.merge(earlier, changed)
                changed = earlier
                continue
            later = rules.find_partner(changed, after=changed) if changed < at else None
            if later is None:
                break
            rules.merge(changed, later)
    return machine.with_rules([rule for rule in rules.held if rule is not None])


class _MergedRules:
    """Rules by what is left of them without one token that they read: only those can merge."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.held: list[Rule | None] = list(machine.rules)
        self._places: dict[object, list[int]] = {}
        for i, rule in enumerate(machine.rules):
            self._add(i, rule)

    def _add(self, i: int, rule: Rule) -> None:
        for key in _keys_without_one_token(rule):
            places = self._places.setdefault(key, [])
            at = bisect_left(places, i)
            if places[at : at + 1] != [i]:
                places.insert(at, i)

    def merge(self, i: int, j: int) -> None:
        """Put the merger of two rules in the place of the first."""
        one, other = self.held[i], self.held[j]
        assert one is not None
        assert other is not None
        self.held[i], self.held[j] = _merge_two_rules(one, other, self.machine), None
        merged = self.held[i]
        assert merged is not None
        self._add(i, merged)

    def find_partner(self, i: int, *, after: int = -1, before: int | None = None) -> int | None:
        """The first rule in a range that merges with rule i."""
        one = self.held[i]
        if one is None:
            return None
        found: int | None = None
        for key in _keys_without_one_token(one):
            places = self._places[key]
            for j in places[bisect_right(places, after) :]:
                if (before is not None and j >= before) or (found is not None and j >= found):
                    break
                other = self.held[j]
                if other is not None and _merge_two_rules(one, other, self.machine) is not None:
                    found = j
                    break
        return found


def _keys_without_one_token(rule: Rule) -> Iterator[object]:
    """For each token that a rule reads: all of the rule but that token."""
    for i, atom in enumerate(rule.guard):
        if isinstance(atom, In):
            rest = (rule.guard[:i], atom.at, rule.guard[i + 1 :])
            yield rule.mode, rule.updates, rule.goto, i, rest


def _merge_two_rules(one: Rule, other: Rule, machine: Machine) -> Rule | None:
    if (one.mode, one.updates, one.goto) != (other.mode, other.updates, other.goto):
        return None
    if len(one.guard) != len(other.guard):
        return None
    differ = [i for i, (a, b) in enumerate(zip(one.guard, other.guard, strict=True)) if a != b]
    if len(differ) != 1:
        return None
    a, b = one.guard[differ[0]], other.guard[differ[0]]
    if not isinstance(a, In) or not isinstance(b, In) or a.at != b.at:
        return None
    order = {x: i for i, x in enumerate(machine.vocab)}
    tokens = tuple(sorted({*a.tokens, *b.tokens}, key=lambda x: order.get(x, len(order))))
    guard = (*one.guard[: differ[0]], In(a.at, tokens), *one.guard[differ[0] + 1 :])
    name = _join_names(one.name, other.name)
    return replace(one, name=name, guard=guard, origin=join_origins([one.origin, other.origin]))


def _join_names(one: str, other: str) -> str:
    """copy-X0, copy-X1 -> copy-X0-X1, and copy-any where that gets long."""
    front, _, _ = one.partition("-")
    seen = list(dict.fromkeys([*one.split("-")[1:], *other.split("-")[1:]]))
    return "-".join([front, *seen]) if len(seen) <= 3 and "any" not in seen else f"{front}-any"
