"""From a start configuration to a machine: every configuration that is reached becomes a mode.

Returns are matched with frames by level: what a frame's owner can see is what the configuration
that was started above the frame can return, so no rule is made for a frame that cannot be on top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from recinterp.derivation.drive import Driver
from recinterp.derivation.grammar import InputGrammar
from recinterp.derivation.limits import LIMITS
from recinterp.derivation.path import NeedsStack, RuleOutline, SuspendedFrame, unbounded_error
from recinterp.derivation.terms import (
    Configuration,
    Evaluate,
    InputPlace,
    InputSubterm,
    Item,
    Mark,
    Owned,
    Return,
    Seek,
    Take,
    WriteToken,
    configuration_size,
    subexpressions,
)
from recinterp.machine.machine import Machine
from recinterp.machine.nodes import (
    Atom,
    Const,
    Copy,
    Emit,
    Expr,
    In,
    Pop,
    Push,
    Reg,
    Rule,
    Set,
    TopIs,
    Update,
    add_constant,
)
from recinterp.semantics.ast import Call, Construct
from recinterp.tasks.template import SPECIALS

Node: TypeAlias = Configuration | tuple[SuspendedFrame, Return]


@dataclass
class ConfigurationGraph:
    """The configurations found so far, with their leaves and returns."""

    leaves: dict[Node, list[RuleOutline]] = field(default_factory=dict)
    returns: dict[Node, dict[Return, None]] = field(
        default_factory=dict
    )  # in order: names follow it

    def next_of(self, node: Node) -> list[Node]:
        """Where a node goes on at its own level of the stack."""
        found: list[Node] = []
        for leaf in self.leaves[node]:
            if leaf.push is not None and isinstance(leaf.target, Configuration):
                frame, _ = leaf.push
                found += [(frame, r) for r in self.returns.get(leaf.target, ())]
            elif isinstance(leaf.target, Configuration):
                found.append(leaf.target)
        return found


def explore_configurations(
    driver: Driver, start: Configuration, bound: int | None = None
) -> ConfigurationGraph:
    """Drive everything that can be reached. Errors: NeedsStack, NotDerivableError.

    bound: constructors of the largest intermediate result that is followed.
    """
    graph = ConfigurationGraph()
    changed = True
    work: list[Node] = [start]
    while work or changed:
        while work:
            node = work.pop()
            if node not in graph.leaves:
                work += _drive_node(node, graph, driver, bound)
        changed = _propagate_returns(graph)
        work = [
            n for node in list(graph.leaves) for n in graph.next_of(node) if n not in graph.leaves
        ]
    return graph


def _drive_node(
    node: Node, graph: ConfigurationGraph, driver: Driver, bound: int | None
) -> list[Configuration]:
    """Enter a node's rules and returns into the graph; the configurations it goes on with."""
    _check_size(node, graph, driver)
    if isinstance(node, Configuration):
        leaves = driver.drive_configuration(node)
    else:
        leaves = driver.resume_frame(*node)
    leaves = [x for x in leaves if bound is None or _largest_value_size(x.target) <= bound]
    targets = [x.target for x in leaves]
    graph.leaves[node] = leaves
    graph.returns[node] = {x: None for x in targets if isinstance(x, Return)}
    return [x for x in targets if isinstance(x, Configuration)]


def _largest_value_size(target: Configuration | Return) -> int:
    """Nodes of the largest term of constructors in what is gone on with."""
    items = target.items if isinstance(target, Configuration) else (target.value or WriteToken(""),)
    made = (x for i in items for x in subexpressions(i) if isinstance(x, Construct))
    return max((sum(1 for _ in subexpressions(x)) for x in made), default=0)


def _check_size(node: Node, graph: ConfigurationGraph, driver: Driver) -> None:
    config = node if isinstance(node, Configuration) else node[0].config
    if driver.stack:
        max_size, max_nodes = LIMITS.max_stack_size, LIMITS.max_stack_configurations
    else:
        max_size, max_nodes = LIMITS.max_size, LIMITS.max_configurations
    if configuration_size(config) <= max_size and len(graph.leaves) < max_nodes:
        return
    raise unbounded_error(driver.grammar.task.function) if driver.stack else NeedsStack


def _propagate_returns(graph: ConfigurationGraph) -> bool:
    """Bring returns back along the level edges until nothing changes."""
    any_change, changed = False, True
    while changed:
        changed = False
        for node in graph.leaves:
            mine = graph.returns[node]
            before = len(mine)
            for other in graph.next_of(node):
                mine |= graph.returns.get(other, {})
            changed = changed or len(mine) > before
        any_change = any_change or changed
    return any_change


@dataclass
class Assembler:
    """Names configurations and frames, and writes their leaves as rules.

    Attributes:
        grammar: The encoding of inputs and outputs.
        graph: The configurations that are reached, with their leaves and returns.
        start: The configuration of a whole run.
        modes: The name of each configuration and return that has one.
        frames: The label of each suspended configuration.
        rules: The rules written so far.
        also_label: The label of frames that hold what does not fit in the one above.
    """

    grammar: InputGrammar
    graph: ConfigurationGraph
    start: Configuration
    modes: dict[Configuration | Return, str] = field(default_factory=dict)
    frames: dict[SuspendedFrame, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    also_label: str = "also"

    def build_machine(self) -> Machine:
        """The machine."""
        self._name_frames()
        self._mode_name(self.start)
        for node, leaves in self.graph.leaves.items():
            for leaf in leaves:
                self._add_rule(node, leaf)
        if self.frames:
            self._add_final_returns()
        self._drop_stuck()
        also = (self.also_label,) if any(f.also for f in self.frames) else ()
        vocab = tuple(x for x in self.grammar.task.vocab if x not in SPECIALS)
        return Machine(
            vocab,
            self._mode_name(self.start),
            self._registers(),
            (*self.frames.values(), *also),
            tuple(self.rules),
            limit=LIMITS.stack_machine_steps if self.frames else Machine.limit,
            arity=self._arities(vocab),
        )

    def _registers(self) -> tuple[tuple[str, Expr], ...]:
        """Every register a rule sets, and p; p starts where reading begins, the others at 0."""
        first: Expr = add_constant(Reg("n"), -1) if self.grammar.reverse else Const(0)
        names = sorted({u.reg for r in self.rules for u in r.updates if isinstance(u, Set)} | {"p"})
        return tuple((name, first if name == "p" else Const(0)) for name in names)

    def _arities(self, vocab: Sequence[str]) -> tuple[int, ...]:
        """How many subterms follow each token."""
        constructors = (c for t in self.grammar.program.types for c in t.constructors)
        arity = {self.grammar.token_of(c.name): len(c.args) for c in constructors}
        return tuple(arity.get(x, 0) for x in vocab)

    def _add_final_returns(self) -> None:
        """Rules that halt where the start returns and the stack is empty."""
        for ret in sorted(self.graph.returns[self.start], key=str):
            mode = self._mode_name(ret)
            emit = (Emit(self._constant_word(ret.value)),) if ret.value else ()
            self.rules.append(Rule(f"{mode}-end", mode, (TopIs(None),), emit, None))

    def _constant_word(self, value: Construct) -> tuple[str, ...]:
        return (self.grammar.token_of(value.constructor),)

    # names
    def _mode_name(self, key: Configuration | Return) -> str:
        if key not in self.modes:
            base = (
                _name_items(key.items, self.grammar)
                if isinstance(key, Configuration)
                else "-".join(["return", *map(_plain_label, self._returned_tokens(key))])
            )
            self.modes[key] = _unused_name(base, self.modes.values())
        return self.modes[key]

    def _returned_tokens(self, ret: Return) -> tuple[str, ...]:
        made = subexpressions(WriteToken("") if ret.value is None else ret.value)
        return tuple(self.grammar.token_of(x.constructor) for x in made if isinstance(x, Construct))

    def _name_frames(self) -> None:
        for leaves in self.graph.leaves.values():
            for leaf in leaves:
                if leaf.push is not None and leaf.push[0] not in self.frames:
                    frame = leaf.push[0]
                    self.frames[frame] = _unused_name(
                        _name_items(frame.config.items, self.grammar), self.frames.values()
                    )

    # rules
    def _drop_stuck(self) -> None:
        """Leave out what leads to modes that go no further: results beyond the bound."""
        while stuck := {r.goto for r in self.rules} - {r.mode for r in self.rules} - {None}:
            self.rules = [r for r in self.rules if r.goto not in stuck]

    def _place_expression(self, place: InputPlace) -> Expr:
        k = -place.k if self.grammar.reverse else place.k
        return add_constant(Reg("top") if place.reg == Mark.SAVED else Reg(place.reg), k)

    def _add_rule(self, node: Node, leaf: RuleOutline) -> None:
        mode, label, entry = self._entry_of(node, leaf)
        guard: list[Atom] = [entry] if entry is not None else []
        for place, tokens in leaf.reads:
            guard.append(In(self._place_expression(place), tokens))
            label += "-" + "".join(map(_plain_label, tokens[:1] if len(tokens) > 1 else tokens))
        updates: list[Update] = [Pop()] if entry is not None else []
        updates += self._updates_of(leaf)
        if leaf.word:
            word = (x if isinstance(x, str) else Copy(self._place_expression(x)) for x in leaf.word)
            updates.insert(0, Emit(tuple(word)))
        goto: str | None = None
        if isinstance(leaf.target, Configuration) or self.frames:
            goto = self._mode_name(leaf.target)
        elif leaf.target.value is not None:
            updates.insert(0, Emit(self._constant_word(leaf.target.value)))
        name = f"{mode}{label}"
        self.rules.append(Rule(name, mode, tuple(guard), tuple(updates), goto, leaf.step))

    def _entry_of(self, node: Node, leaf: RuleOutline) -> tuple[str, str, TopIs | None]:
        """The mode of a node, what it adds to the rule's name, and the frame that is popped."""
        if isinstance(node, Configuration):
            return self._mode_name(node), "", TopIs(self.also_label) if leaf.took else None
        frame, ret = node
        label = self.frames[frame]
        return self._mode_name(ret), f"-{label}", TopIs(label)

    def _updates_of(self, leaf: RuleOutline) -> Iterator[Update]:
        """The registers that a rule sets and the frames that it pushes."""
        for name, place in leaf.sets:
            if self._place_expression(place) != Reg(name):
                yield Set(name, self._place_expression(place))
        if leaf.push is not None:
            pushed, pointers = leaf.push
            yield from (Push(self.also_label, self._place_expression(p)) for p in pointers[:0:-1])
            at = self._place_expression(pointers[0]) if pointers else Const(0)
            yield Push(self.frames[pushed], at)


def _name_items(items: Sequence[Item], grammar: InputGrammar) -> str:
    """A readable name for what writes these items."""
    if len(items) == 1 and isinstance(items[0], WriteToken):
        return _plain_label(items[0].token)
    parts = [x for i in items[:2] for x in _item_name(i, grammar)]
    return "-".join(parts[:4]) or ("then" if items else "skip")


def _item_name(item: Item, grammar: InputGrammar) -> list[str]:
    match item:
        case WriteToken(token):
            return [_plain_label(token)]
        case Seek():
            return ["seek"]
        case Take():
            return ["take"]
        case InputSubterm():
            return ["copy"]
        case Evaluate(expr):
            return _item_name(expr, grammar)
    parts: list[str] = []
    for x in subexpressions(item):
        match x:
            case Call(f) if not f.startswith(Mark.STRIP):
                parts.append(_plain_label(f))
            case Owned(owner=owner) if owner:
                parts.append(_plain_label(owner))
                break
            case Construct(c, type_, ()) if grammar.is_enumeration(type_):
                parts.append(_plain_label(grammar.token_of(c)))
    return parts or ["put"]


def _plain_label(text: str) -> str:
    plain = re.sub(r"[^\w']", "", text)
    return plain or {"(": "open", ")": "close", ",": "comma", "$": "end"}.get(text, "x")


def _unused_name(base: str, taken: Iterable[str]) -> str:
    used = set(taken)
    name, i = base, 1
    while name in used:
        i += 1
        name = f"{base}.{i}"
    return name
