"""Sentences on the network: mechanism, sites with their evidence, forced-prefix rules."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recinterp.causal.results import MechanismKind, PrefixFeature, PullKind
from recinterp.view.diagram.labels import continuation_text

if TYPE_CHECKING:
    from recinterp.causal.results import (
        ContinuationFinding,
        ForcedPrefixRule,
        Mechanism,
        Patch,
        PatchLocation,
        Pull,
        Site,
    )
    from recinterp.stats import Rate

POSITIONS = {
    "prediction": "the prediction position",
    "sep": "SEP",
    "read": "the input position read",
    "changed": "the inputs that differ",
    "others": "the other inputs",
    "inputs": "the inputs",
    "outputs": "the previous outputs",
}
CONDITIONS = {
    PrefixFeature.MODE: "in mode {}",
    PrefixFeature.RULE: "where rule {} would fire",
    PrefixFeature.WRITES: "about to write {}",
    PrefixFeature.LAST: "after {}",
    PrefixFeature.INSTEAD: "where {} should stand last",
    PrefixFeature.BEFORE: "{} before the last token",
    PrefixFeature.ONLY: "only {} written so far",
}
WORTH_A_CLAUSE = 0.1  # a share of trials from which on a test that does not decide is mentioned


def position_text(position: str) -> str:
    """A class of positions in words; `at p` is the input position of the pointer p."""
    others = "others than "
    if position.startswith(others):
        return f"the inputs other than at {position.removeprefix(others)}"
    return POSITIONS.get(position) or f"the input {position}"


def activation_text(location: PatchLocation) -> str:
    """Which activation a place of a patch is, in words, without its positions."""
    if location.is_attention:
        if location.head is None:
            return f"in {location.block or f'layer-{location.layer}'} attention"
        return f"in {location.block or f'L{location.layer}'}H{location.head}"
    if location.layer < 0:
        return "in the embedding"
    return f"after {location.block or f'layer {location.layer}'}"


def location_text(location: PatchLocation) -> str:
    """A place of a patch in words: `after layer 0 at the inputs`."""
    return f"{activation_text(location)} at {position_text(location.position)}"


def patch_text(patch: Patch) -> str:
    """A patch in words: places of one activation together."""
    return " and ".join(
        f"{activation} at " + " and ".join(_positions_of(activation, patch))
        for activation in dict.fromkeys(map(activation_text, patch))
    )


def _positions_of(activation: str, patch: Patch) -> Iterable[str]:
    return (position_text(p.position) for p in patch if activation_text(p) == activation)


def continuation_sentence(found: ContinuationFinding, min_trials: int) -> str:
    """Which continuation the model follows after forced outputs, and which heads carry it.

    min_trials: trials below which nothing is claimed.
    """
    if not found.decided:
        return _undecided_continuation(found, min_trials)
    others = [
        f"{continuation_text(s.continuation)} {s.followed.value:.0%}"
        for s in found.scores
        if s.continuation != found.chosen
    ]
    text = (
        f"Next: {continuation_text(found.chosen)} ({found.followed.hits} of "
        f"{found.followed.total} forced outputs that tell; {', '.join(others)})."
    )
    if found.pulls:
        text += f" A mixture of these predicts {found.predicted} of other forced outputs."
    if found.heads:
        heads = (
            f"{h.name} to {h.without.value:.0%} (control: {h.unforced.value:.0%} of the unforced "
            "steps stay)"
            for h in found.heads[:2]
        )
        text += f" Ablating a head lowers this: {', '.join(heads)}."
    return text


def _undecided_continuation(found: ContinuationFinding, min_trials: int) -> str:
    if not found.scores:
        return ""
    names = [f"{continuation_text(s.continuation)} {s.followed}" for s in found.scores]
    if found.telling_trials < min_trials:
        trials = found.telling_trials
        return f"How the next token is found was not tested: only {trials} forced outputs tell."
    return f"How the next token is found is undecided: {', '.join(names)} of forced outputs."


def mechanism_sentence(mechanism: Mechanism, min_trials: int) -> str:
    """How a model obtains its machine's state, with the counts of the two tests.

    min_trials: trials below which a test claims nothing.
    """
    what = _state_text(mechanism)
    match mechanism.kind:
        case MechanismKind.OUTPUTS_ONLY:
            return "Only the outputs were examined: the activations of this model cannot be read."
        case MechanismKind.NO_TRIALS:
            return f"How {what} is obtained is unknown: too few runs distinguish its values."
        case MechanismKind.CARRIED:
            text = f"{what} is carried in the output written so far"
        case MechanismKind.REDUNDANT:
            where = _where_text(mechanism)
            text = f"{what} is computed from the input {where}, and also read off the output"
        case MechanismKind.NEITHER:
            text = f"{what} follows neither a swapped input nor a forced output prefix"
            is_placed = mechanism.site is not None and mechanism.site.accepted
            text += f"{'; it is found' if is_placed else ''} {_where_text(mechanism)}"
        case MechanismKind.COMPUTED_FROM_INPUT:
            text = f"{what} is computed from the input {_where_text(mechanism)}"
            if not mechanism.was_tested:
                return f"{text}; no output stands before the answer."
            if mechanism.forced_prefix.total >= min_trials:
                text += f"; the output does not carry it{_also_prefix(mechanism.forced_prefix)}"
    return f"{text} ({_tests_text(mechanism, min_trials)})."


def _tests_text(mechanism: Mechanism, min_trials: int) -> str:
    """The counts of both tests, where there were enough trials."""
    forced, swap = (
        str(rate) if rate.total >= min_trials else f"too few trials ({rate.total})"
        for rate in (mechanism.forced_prefix, mechanism.source_swap)
    )
    return (
        f"the output follows a forced output prefix in {forced}, "
        f"a swapped input after the same prefix in {swap}"
    )


def _also_prefix(forced_prefix: Rate) -> str:
    changes = bool(forced_prefix.total) and forced_prefix.value >= WORTH_A_CLAUSE
    return ", although a forced prefix changes it too" if changes else ""


def place_sentence(mechanism: Mechanism) -> str:
    """Where the machine's state is stored, for a model whose continuation is decided."""
    if mechanism.site is None:
        return ""
    text = f"{_state_text(mechanism)} is found {_where_text(mechanism)}."
    return f"{text[:1].upper()}{text[1:]}"


def pull_text(pull: Pull) -> str:
    """What draws the next token, in words, and when."""
    text = _pull_name(pull)
    if pull.written is not None:
        return f"{text}, when {pull.written} {'token is' if pull.written == 1 else 'are'} written"
    return text if pull.left is None else f"{text}, when {pull.left} are left"


def _pull_name(pull: Pull) -> str:
    match pull.kind:
        case PullKind.POSITION:
            what = "the position"
        case PullKind.AFTER_LAST:
            what = "after the last output token"
        case PullKind.AFTER_TWO:
            return "two after the token before the last"
        case PullKind.UNWRITTEN:
            return "not yet written"
        case PullKind.FIRST_UNWRITTEN:
            return "the first not yet written"
        case PullKind.END:
            return "the end"
        case PullKind.END_WHEN_FULL:
            return "the end, as many tokens written as there are"
    return what if not pull.offset else f"{what} {pull.offset:+d}"


def _state_text(mechanism: Mechanism) -> str:
    name = mechanism.variable
    names = {
        None: "the state",
        "mode": "the mode",
        "frame": "the frame on top of the stack",
        "lookahead": f"the lookahead {name}",
        "pointer": f"the pointer {name}",
    }
    return names.get(mechanism.variable_kind, f"the token read, {name},")


def _where_text(mechanism: Mechanism) -> str:
    """Where the state is stored, or the best place that was tried.

    While reading, if it is found at input positions before the last layer; else at each step.
    """
    site, part = mechanism.site, mechanism.partial_site
    if site is None:
        return "(too few runs distinguish its values to localise it)"
    if not site.accepted:
        best = f"best {site.accuracy:.0%}, {patch_text(site.patch)}"
        return f"(no place that was tried stores it; {best})"
    when = "while reading" if any(p.while_reading for p in site.patch) else "at each step"
    text = f"{when}, and stored {patch_text(site.patch)}"
    if part is not None:
        text += f" ({position_text(part.patch[0].position)} by itself: {part.accuracy:.0%})"
    return text


def site_note(site: Site) -> str:
    """The evidence for a site: its controls, and the accuracy on other pairs."""
    if not site.patch:
        return f"only {site.pairs} pairs of steps distinguish its values: too few to localise it"
    if site.dims:
        return "; ".join(_subspace_notes(site))
    return "; ".join(_site_notes(site))


def _site_notes(site: Site) -> Iterable[str]:
    yield f"random direction {site.control:.0%}"
    yield _same_value_text(site)
    if site.third_token_accuracy.total >= 10:
        yield _third_token_text(site)
    if not site.accepted:
        yield "rejected"


def _subspace_notes(site: Site) -> Iterable[str]:
    yield f"{site.dims} of {site.d_model} directions at each place"
    yield f"random directions {site.control:.0%}"
    if site.third_token_accuracy.total:
        yield _third_token_text(site)
    if site.unrestricted_accuracy.total:
        yield f"on unrestricted pairs {site.unrestricted_accuracy}"
    if not math.isnan(site.same_value_control):
        yield _same_value_text(site)


def _same_value_text(site: Site) -> str:
    return f"a source of the same value leaves {site.same_value_control:.0%} unchanged"


def _third_token_text(site: Site) -> str:
    return f"where the source writes a third token {site.third_token_accuracy}"


def condition_text(rule: ForcedPrefixRule) -> str:
    """The conditions of a forced-prefix rule in words."""
    values = dict(rule.when)
    return ", ".join(
        text.format(values[feature]) for feature, text in CONDITIONS.items() if feature in values
    )


def effect_text(rule: ForcedPrefixRule) -> str:
    """What a model does where a forced-prefix rule fits, in words."""
    return "the output ends" if rule.then is None else f"continues as in mode {rule.then}"
