"""A variable alone: the directions of a site that hold it, and nothing of what lies over it.

What stands at a position is many variables at once, and a source that is put in whole moves all of
them. Where a source writes a third token, so that neither its answer nor the base's is the right
one, only the variable itself will do. Subspaces are learned from two thirds of the pairs, told
apart by a hash of the base input, and reported on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from recinterp.causal.agreement import pairs_where_model_agrees
from recinterp.causal.pairs import Pair, PairSampler
from recinterp.causal.patches import (
    PatchSpec,
    build_base_batch,
    build_interchanges,
    interchange_accuracy,
)
from recinterp.causal.results import Patch, PatchLocation, Site
from recinterp.causal.sites import ACCEPT, CONTROL, FEWEST
from recinterp.machine.nodes import Reg
from recinterp.perturb.liveness import is_live
from recinterp.perturb.lowering.sources import source_cache
from recinterp.perturb.runner import hooks_needed
from recinterp.perturb.subspace_search import learn_subspaces, random_subspaces
from recinterp.splits import FIT_OF, in_fit_split

if TYPE_CHECKING:
    from recinterp.causal.variables import Variable
    from recinterp.models import Adapter

STRICT, USUAL, SAME = 600, 240, 120  # pairs wanted: of a third token, any, and of the same value
EACH = 3  # sources of a base
SHARE = 5  # one direction in so many
MOST = 6  # variables, at most


def localise_subspaces(
    adapter: Adapter,
    finder: PairSampler,
    found: Sequence[Site],
) -> tuple[Site, ...]:
    """The sites found, and for each variable that has them the subspaces that hold it alone.

    Pointers are left out: two steps differ in all that is at the query, and nothing linear was
    seen to part it. Nor is there anything of models of one layer, or of those that need hooks.
    """
    if adapter.n_layers < 2 or hooks_needed(adapter):
        return tuple(found)
    more: list[Site] = []
    placed = [v for v in finder.variables if v.kind != "pointer"]
    for variable in placed[:MOST]:
        own = [site for site in found if site.variable == variable.name]
        with source_cache():
            site = _alone(adapter, finder, variable, own)
        more += [site] if site is not None else []
    order = list(dict.fromkeys(site.variable for site in (*found, *more)))
    return tuple(sorted((*found, *more), key=lambda site: order.index(site.variable)))


class _Wanted(NamedTuple):
    """Pairs by what they ask: a third token; another token; no other token."""

    strict: list[Pair]
    usual: list[Pair]
    same: list[Pair]

    def those(self, *, learned: bool) -> _Wanted:
        """The ones learned from, or the others: pairs of one base are all of one kind."""
        return _Wanted(
            *([p for p in pairs if in_fit_split(p.base.tokens) is learned] for pairs in self)
        )


def _alone(
    adapter: Adapter, finder: PairSampler, variable: Variable, own: Sequence[Site]
) -> Site | None:
    """The subspaces that hold a variable, if on pairs they were not learned from they do."""
    task, seed = finder.task, finder.seed
    strict = pairs_where_model_agrees(
        adapter, task, finder.sample(variable, STRICT, source_answer_differs=True, max_sources=EACH)
    )
    if len(strict) < FIT_OF * FEWEST and any(site.accepted for site in own):
        return None  # held somewhere, and nothing to tell it from what lies over it
    usual = pairs_where_model_agrees(
        adapter, task, finder.sample(variable, USUAL, max_sources=EACH)
    )
    same = pairs_where_model_agrees(adapter, task, finder.sample(variable, SAME, same_value=True))
    wanted = _Wanted(strict, usual, same)
    known, judged = (wanted.those(learned=learned) for learned in (True, False))
    asked = next((pairs for pairs in (judged.strict, judged.usual) if len(pairs) >= FEWEST), [])
    patch = _patch(adapter, variable, own)
    live = all(is_live(adapter, task, part.hook) for part in patch)
    if not asked or not live or sum(map(len, known)) < FEWEST:
        return None
    pairs, dims = [p for kind in known for p in kind], max(1, adapter.d_model // SHARE)
    rows, goals = build_base_batch(task, pairs), [p.counterfactual for p in pairs]
    bases = learn_subspaces(
        adapter,
        task,
        rows,
        build_interchanges(PatchSpec(patch), pairs),
        goals,
        dims=dims,
        seed=seed,
    )
    rates = [
        interchange_accuracy(adapter, task, kind, PatchSpec(patch, bases=bases)) for kind in judged
    ]
    by_chance = [
        interchange_accuracy(
            adapter, task, asked, PatchSpec(patch, bases=random_subspaces(bases, seed + k))
        ).value
        for k in range(1, 5)
    ]
    control = sum(by_chance) / len(by_chance)
    if control > CONTROL or any(r.value < ACCEPT for r in rates if r.total >= FEWEST):
        return None
    said = rates[0] if asked is judged.strict else rates[1]
    return Site(
        variable=variable.name,
        kind=variable.kind,
        patch=patch,
        accuracy=said.value,
        interval=said.interval,
        pairs=said.total,
        control=control,
        same_value_control=rates[2].value,
        accepted=True,
        third_token_accuracy=rates[0],
        unrestricted_accuracy=rates[1],
        dims=dims,
        d_model=adapter.d_model,
    )


def _patch(adapter: Adapter, variable: Variable, own: Sequence[Site]) -> Patch:
    """The output of the first layer at which anything of the variable was found, part by part."""
    outputs = [part for site in own for part in site.patch if part.hook.endswith("resid_post")]
    layer = min((part.layer for part in outputs), default=(adapter.n_layers - 2) // 2)
    hook = f"blocks.{layer}.hook_resid_post"
    place = variable.node.name if isinstance(variable.node, Reg) else ""
    if variable.kind == "previous output":
        places = ["outputs", "query"]
    elif variable.kind == "content" and place:
        places = [f"at {place}", f"others than {place}", "query"]
    else:
        places = ["read", "others", "query"]
    return tuple(PatchLocation(hook, place).with_block_name(adapter) for place in places)
