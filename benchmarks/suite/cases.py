"""The case table of the benchmark: models whose explanations are checked by counting.

Four kinds of rows. The zoo: models trained on many tasks, most of them on a part of what they are
queried on, so that they fail somewhere; whatever comes out of training stays in the table.
Planted truths: models trained on the outputs of a machine that is not the task's own, so that
their fault is known. Negatives: models that learned nothing, which nobody should explain. Unseen:
models over functions that no method was tried on, written down later than the rest.

Each part of the table was committed before the methods were tried on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import recinterp as ri
from recinterp.models.training.batches import Teacher
from recinterp.tasks import FullDepth, Matching

PROGRAMS = Path(__file__).parent / "programs"
OWN = {
    "lists": ("keep", "stutter", "swap", "weave"),
    "unseen": (
        "succ3", "parities", "squeeze", "until", "comma", "rotate", "there_and_back", "onto",
        "compare", "tips", "flip", "nnf", "mixed",
    ),
}  # fmt: skip
SEEDS = (0, 1, 2)
DEPTH_CAPPED = {"loss": "sequence", "embedding_std": 0.35}


@dataclass(frozen=True)
class Planted:
    """A fault put into the true machine: rules by name, each replaced by other lines."""

    kind: str
    bound: int | None
    rules: tuple[tuple[str, str], ...]

    def machine(self, task: ri.Task) -> ri.Machine:
        """The task's machine with the fault."""
        lines = str(task.machine).split("\n")
        for name, text in self.rules:
            at = next(i for i, line in enumerate(lines) if line.startswith(f"  {name}: "))
            lines[at : at + 1] = [f"  {line}" for line in text.split("\n")]
        return ri.Machine.parse("\n".join(lines))


@dataclass(frozen=True)
class Case:
    """One row: a task, how a model of it is trained, on what it is queried, what is known."""

    name: str
    group: str  # zoo, unseen, planted, compiled, shuffled or untrained
    task_name: str
    order: str
    config: ri.TrainConfig
    max_length: int  # of the domain: its longest input, in tokens
    planted: Planted | None = None
    stepwise: int | None = None
    without: Callable[[ri.Task], Callable[[Sequence[str]], bool]] | None = field(
        default=None, compare=False
    )

    @property
    def task(self) -> ri.Task:
        """The function the model is held against."""
        own = next((file for file, names in OWN.items() if self.task_name in names), None)
        if own is None:
            task = ri.task(self.task_name, order=self.order)
        else:
            task = ri.Task.from_gallina(PROGRAMS / f"{own}.v", self.task_name, self.order)
        return task.stepwise(self.stepwise) if self.stepwise else task

    @property
    def recipe(self) -> ri.TrainConfig:
        """The configuration with the inputs that are left out of training."""
        return (
            replace(self.config, exclude=self.without(self.task)) if self.without else self.config
        )

    @property
    def teacher(self) -> Teacher | None:
        """What the model learns instead of the task's own function."""
        if self.planted:
            return self.planted.machine(self.task)
        return Shuffled(self.task) if self.group == "shuffled" else None


@dataclass(frozen=True)
class Shuffled:
    """Another input's output: of the same length, chosen by a hash of the input."""

    task: ri.Task

    def __call__(self, tokens: Sequence[str]) -> list[str]:
        """The output that stands for these tokens."""
        seed = int.from_bytes(blake2b(" ".join(tokens).encode(), digest_size=4).digest(), "big")
        length = self.task.length(tokens)
        return self.task.apply(self.task.sample(1, seed=seed, length=length, max_length=length)[0])

    def __str__(self) -> str:
        return "shuffled"


def edges(task: ri.Task) -> FullDepth:
    """Inputs of maximal depth for their length."""
    return FullDepth(task, 3)


def matching(pattern: str) -> Callable[[ri.Task], Matching]:
    """Inputs in whose tokens a pattern is found."""
    return lambda _: Matching(pattern)


def case(
    name: str, task: str, max_length: int, *, order: str = "natural", **settings: object
) -> Case:
    """A model of the zoo; settings are TrainConfig's, `without` and `stepwise` the case's own."""
    without, stepwise = settings.pop("without", None), settings.pop("stepwise", None)
    config = ri.TrainConfig(**({"max_length": max_length, "steps": 1500} | settings))  # type: ignore[arg-type]
    return Case(
        name, "zoo", task, order, config, max_length, None, stepwise, without  # type: ignore[arg-type]
    )  # fmt: skip


PAIR = {"architecture": "encoder-decoder", "steps": 1000}
TREE = {"n_heads": 4, "steps": 1500, "n_layers": 2}


# Trained models, over sixteen tasks.
ZOO = (
    case("succ-cap3", "binary-successor", 12, max_depth=3, seed=3, **DEPTH_CAPPED),
    case("reverse-cap4", "list-reverse", 8, max_depth=4),
    case("inorder-cap2", "tree-inorder", 16, max_depth=2, **TREE),
    case("pred-cap3", "binary-predecessor", 11, max_depth=3),
    case("pair-succ-cap3", "binary-successor", 11, max_depth=3, **PAIR),
    case("append-cap3", "list-append", 7, max_depth=3),
    case("preorder-cap2", "tree-preorder", 16, max_depth=2, **TREE),
    case("map-natural", "list-map", 7, distribution="natural", attn_only=True),
    case("add-cap2", "binary-addition", 9, max_depth=2),
    case("keep-cap4", "keep", 7, max_depth=4),
    case("pair-reverse-cap4", "list-reverse", 8, max_depth=4, **PAIR),
    case("postorder", "tree-postorder", 16, seed=1, **TREE),
    case("succ-natural", "binary-successor", 12, distribution="natural"),
    case("succ-reverse-cap3", "binary-successor", 12, order="reverse", max_depth=3),
    case("pred-natural", "binary-predecessor", 11, distribution="natural"),
    case("stutter-cap4", "stutter", 7, max_depth=4),
    case("swap-natural", "swap", 7, distribution="natural"),
    case("ring", "ring-arithmetic", 8, steps=2000),
    case("pair-inorder-cap2", "tree-inorder", 16, max_depth=2, **{**TREE, **PAIR}),
    case("add-natural", "binary-addition", 9, distribution="natural", n_layers=3),
    case("peano-add-cap4", "peano-addition", 12, max_depth=4),
    case("double-cap5", "peano-doubling", 10, max_depth=5),
    case("succ-stepwise-cap3", "binary-successor", 10, max_depth=3, stepwise=1),
    case("append-natural", "list-append", 7, distribution="natural"),
    case("reverse-natural", "list-reverse", 7, distribution="natural"),
    case("inorder", "tree-inorder", 16, **TREE),
    case("pair-succ", "binary-successor", 11, **PAIR),
    case("pred-edges", "binary-predecessor", 11, without=edges),
    case("map-ab", "list-map", 7, without=matching(r"\ba b\b")),
    case("postorder-cap2", "tree-postorder", 16, max_depth=2, **TREE),
    case("mirror-cap2", "tree-mirror", 13, max_depth=2, **TREE),
    case("pair-succ-reverse-cap3", "binary-successor", 11, order="reverse", max_depth=3, **PAIR),
    case("succ-rotary-cap4", "binary-successor", 12, max_depth=4, positions="rotary"),
    case("reverse-4-layers", "list-reverse", 8, n_layers=4, max_depth=5, steps=1000),
    case("weave-cap2", "weave", 7, max_depth=2),
    case("pair-pred-cap3", "binary-predecessor", 11, max_depth=3, **PAIR),
    case("keep-natural", "keep", 7, distribution="natural", order="reverse"),
    case("inorder-natural", "tree-inorder", 13, distribution="natural", **TREE),
    case("succ-attention", "binary-successor", 11, attn_only=True),
    case("add", "binary-addition", 9, steps=2000),
    case("append", "list-append", 7),
    case("pair-append-cap3", "list-append", 7, max_depth=3, **PAIR),
    case("preorder-natural", "tree-preorder", 13, distribution="natural", **TREE),
    case("reverse-back-cap4", "list-reverse", 8, order="reverse", max_depth=4),
    case("pred-reverse-cap3", "binary-predecessor", 11, order="reverse", max_depth=3),
    case("succ-1-layer", "binary-successor", 11, n_layers=1, max_depth=3),
    case("map-1-layer", "list-map", 7, n_layers=1, without=matching("^d")),
    case("pair-keep-cap4", "keep", 7, max_depth=4, **PAIR),
    case("ring-cap2", "ring-arithmetic", 8, max_depth=2),
    case("inorder-reverse-cap2", "tree-inorder", 16, order="reverse", max_depth=2, **TREE),
    case("listops-natural", "listops", 8, distribution="natural"),
    case("pred-reverse-natural", "binary-predecessor", 11, order="reverse", distribution="natural"),
    case("succ-reverse-edges", "binary-successor", 12, order="reverse", without=edges),
    case("pair-preorder-cap2", "tree-preorder", 16, max_depth=2, **{**TREE, **PAIR}),
    case("append-reverse-cap3", "list-append", 7, order="reverse", max_depth=3),
    case("reverse-nowhere", "list-reverse", 7, positions="none", n_layers=3),
    case("add-reverse-natural", "binary-addition", 9, order="reverse", distribution="natural"),
    case("map-reverse-cap4", "list-map", 7, order="reverse", max_depth=4),
    case("postorder-natural", "tree-postorder", 13, distribution="natural", **TREE),
    case("preorder", "tree-preorder", 16, **TREE),
    case("mirror", "tree-mirror", 13, **TREE),
    case("succ-6-layers", "binary-successor", 10, n_layers=6, max_depth=3, steps=800),
    case("pair-succ-reverse", "binary-successor", 11, order="reverse", **{**PAIR, "steps": 2000}),
    case("append-ba", "list-append", 7, without=matching(r"\bb a\b")),
    case("pair-pred-natural", "binary-predecessor", 11, distribution="natural", **PAIR),
    case("swap-cap2", "swap", 8, max_depth=2),
    case("double-stepwise", "peano-doubling", 9, stepwise=1),
    case("reverse-bare-not", "list-reverse", 8, n_layers=3, without=matching("^a")),
    case("weave-natural", "weave", 7, distribution="natural"),
    # A cap on depth that leaves every length to be seen, where a task has shallow long inputs.
    case("inorder-cap3", "tree-inorder", 16, max_depth=3, **TREE),
    case("preorder-cap3", "tree-preorder", 16, max_depth=3, **TREE),
    case("postorder-cap3", "tree-postorder", 16, max_depth=3, **TREE),
    case("pred-clean-cap3", "binary-predecessor", 11, max_depth=3, **DEPTH_CAPPED),
    case(
        "pred-reverse-clean-cap4",
        "binary-predecessor",
        11,
        order="reverse",
        max_depth=4,
        **DEPTH_CAPPED,
    ),
    case("append-short-first", "list-append", 6, without=matching("^. . . . ,")),
)


def unseen() -> Iterator[Case]:
    """Models over functions that no method was tried on: written down after the methods."""
    pair: dict[str, object] = {**PAIR, "steps": 1500}
    rows = (
        case("succ3-cap2", "succ3", 8, max_depth=2, **DEPTH_CAPPED),
        case("succ3-edges", "succ3", 8, without=edges),
        case("succ3-reverse-cap3", "succ3", 8, order="reverse", max_depth=3, **DEPTH_CAPPED),
        case("pair-succ3-natural", "succ3", 8, distribution="natural", **pair),
        case("parities-cap6", "parities", 10, max_depth=6, **DEPTH_CAPPED),
        case("parities", "parities", 10, distribution="natural", steps=3000),
        case("squeeze", "squeeze", 7, distribution="natural", steps=2500),
        case("squeeze-no-triples", "squeeze", 7, without=matching(r"(\w) \1 \1")),
        case("until-cap3", "until", 7, max_depth=3, **DEPTH_CAPPED),
        case("until-ad", "until", 7, without=matching("a d"), n_layers=1),
        case("until-reverse", "until", 7, order="reverse", attn_only=True),
        case("comma-cap4", "comma", 7, max_depth=4),
        case("comma-rotary", "comma", 7, positions="rotary", without=matching("^b .* b$")),
        case("rotate", "rotate", 7, distribution="natural"),
        case("rotate-not-c", "rotate", 7, without=matching("^c")),
        case("pair-rotate-cap4", "rotate", 7, max_depth=4, **pair),
        case("there-and-back", "there_and_back", 6, steps=2500),
        case("there-and-back-aa", "there_and_back", 6, without=matching("a a"), n_layers=3),
        case("onto-cap2", "onto", 6, max_depth=2, **DEPTH_CAPPED),
        case("onto", "onto", 6, distribution="natural"),
        case("compare", "compare", 9, steps=2000),
        case("compare-cap2", "compare", 9, max_depth=2, **DEPTH_CAPPED),
        case("pair-compare", "compare", 9, distribution="natural", **pair),
        case("tips-cap2", "tips", 14, max_depth=2, **TREE),
        case("tips", "tips", 14, **TREE),
        case("flip", "flip", 14, distribution="natural", **TREE),
        case("flip-reverse-cap3", "flip", 14, order="reverse", max_depth=3, **TREE),
        case("nnf", "nnf", 9, distribution="natural", **TREE),
        case("nnf-cap3", "nnf", 9, max_depth=3, **TREE),
        case("nnf-not-not", "nnf", 9, without=matching("Not Not Not"), **TREE),
        case("mixed", "mixed", 9, distribution="natural", **TREE),
        case("mixed-cap3", "mixed", 9, max_depth=3, **TREE),
    )
    yield from (replace(row, group="unseen") for row in rows)


FAULTS: Sequence[tuple[str, str, str, int, Planted]] = (
    ("succ-stops", "binary-successor", "natural", 10, Planted("bounded-depth", 3, (
        ("succ-X1", "succ-X1: in(p) = X1 and t < 3 -> emit X0, p := p + 1, goto succ\n"
                    "late: in(p) = X1 and t >= 3 -> emit X1, p := p + 1, goto copy"),))),
    ("succ-edge", "binary-successor", "natural", 10, Planted("deep-base-case", 4, (
        ("succ-01", "succ-01: in(p) = 01 and t < 4 -> emit X0 01, halt\n"
                    "late: in(p) = 01 and t >= 4 -> emit 01, halt"),))),
    ("succ-reverse-late", "binary-successor", "reverse", 10, Planted("bounded-depth", 4, (
        ("succ-X1", "succ-X1: in(p) = X1 and find(p + 1, +1, {X1}) = n and n - p < 5"
                    " -> emit X0, p := p + 1, goto succ\n"
                    "late: in(p) = X1 and find(p + 1, +1, {X1}) = n and n - p >= 5"
                    " -> emit X1, p := p + 1, goto succ"),))),
    ("pred-ends", "binary-predecessor", "natural", 10, Planted("premature-end", None, (
        ("copy-X0-X1", "copy-X0-X1: in(p) in {X0, X1} and t < 6"
                       " -> emit in(p), p := p + 1, goto copy\n"
                       "end: in(p) in {X0, X1} and t >= 6 -> halt"),))),
    ("map-place", "list-map", "natural", 6, Planted("position-keyed", 3, (
        ("map_next-a", "map_next-a: in(p) = a and t != 3 -> emit b, p := p + 1, goto map_next\n"
                       "there: in(p) = a and t = 3 -> emit a, p := p + 1, goto map_next"),))),
    ("map-rule", "list-map", "natural", 6, Planted("missing-rule", None, (
        ("map_next-c", "map_next-c: in(p) = c -> emit c, p := p + 1, goto map_next"),))),
    ("map-more", "list-map", "natural", 6, Planted("overrun", None, (
        ("map_next-end", "map_next-end: in(p) = $ and t < 4 -> halt\n"
                         "more: in(p) = $ and t >= 4 -> emit in(p - 1), halt"),))),
    ("append-long", "list-append", "natural", 5, Planted("length-keyed", 4, (
        ("append-comma", 'append-comma: in(p) = "," and n < 5 -> p := p + 1, goto copy\n'
                         'long: in(p) = "," and n >= 5 -> halt'),))),
    ("reverse-stack", "list-reverse", "natural", 6, Planted("bounded-stack", 3, (
        ("reverse-a", "reverse-a: in(p) in {a, b, c, d} and height < 3"
                      " -> p := p + 1, push put(p), goto reverse\n"
                      "full: in(p) in {a, b, c, d} and height >= 3"
                      " -> p := p + 1, goto reverse"),))),
    ("preorder-stack", "tree-preorder", "natural", 10, Planted("bounded-stack", 2, (
        ("preorder-Node", "preorder-Node: in(p) = Node and height < 2"
                          " -> emit in(p + 1), p := p + 2, push preorder(0), goto preorder\n"
                          "deep: in(p) = Node and height >= 2"
                          " -> p := p + 2, push preorder(0), goto preorder"),))),
)  # fmt: skip


def planted() -> Iterator[Case]:
    """Ten faults, three seeds each."""
    for seed in SEEDS:
        for name, task, order, max_length, fault in FAULTS:
            steps = 3000 if task.startswith("tree") else 2000
            config = ri.TrainConfig(max_length=max_length, steps=steps, seed=seed)
            yield Case(f"{name}-{seed}", "planted", task, order, config, max_length, fault)


def compiled() -> Iterator[Case]:
    """RASP programs compiled to weights: four that are the function, two with a known fault."""
    stuck = Planted("position-keyed", 4, (
        ("return-put", "return-put: top is put and t < 4 -> emit in(top), pop, goto return\n"
                       "stuck: top is put and t >= 4 -> emit in(n - 4), pop, goto return"),
    ))  # fmt: skip
    turned = next(fault for name, _, _, _, fault in FAULTS if name == "map-rule")
    for name, task, max_length, fault in (
        ("reverse", "list-reverse", 6, None),
        ("reverse-stuck", "list-reverse", 6, stuck),
        ("map", "list-map", 6, None),
        ("map-rule", "list-map", 6, turned),
        ("append", "list-append", 5, None),
        ("stutter", "stutter", 5, None),
    ):
        config = ri.TrainConfig(max_length=max_length, n_layers=3)
        yield Case(f"compiled-{name}", "compiled", task, "natural", config, max_length, fault)


def negatives() -> Iterator[Case]:
    """Models of shuffled labels, and models that were never trained."""
    tasks = (
        ("binary-successor", 10),
        ("list-reverse", 6),
        ("list-append", 5),
        ("tree-inorder", 10),
    )
    for task, max_length in tasks:
        config = ri.TrainConfig(max_length=max_length, steps=700)
        yield Case(f"shuffled-{task}", "shuffled", task, "natural", config, max_length)
        yield Case(f"untrained-{task}", "untrained", task, "natural", config, max_length)


def cases() -> dict[str, Case]:
    """Every row by its name, a few of each kind before the rest."""
    rows = [*ZOO], [*planted()], [*negatives()]
    mixed: list[Case] = []
    for i, row in enumerate(rows[0]):
        mixed.append(row)
        mixed += rows[1][i // 2 : i // 2 + 1] if i % 2 else []
        mixed += rows[2][i // 6 : i // 6 + 1] if i % 6 == 5 else []
    return {c.name: c for c in [*mixed, *rows[1], *rows[2], *compiled(), *unseen()]}
