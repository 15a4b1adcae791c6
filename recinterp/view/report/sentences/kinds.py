"""The kinds of shortcut in words: the one place that words them; docs/kinds.md repeats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recinterp.divergence.results import Shortcut, ShortcutKind


@dataclass(frozen=True, kw_only=True)
class KindWording:
    """One kind in words.

    Attributes:
        does: What a model of this kind does, the predicate of a sentence; `{k}` stands for the
            bound and `{step}` for the ι-step in question.
        describes: Which inputs the kind describes, in which *k* stands for the bound.
        does_unbounded: `does` where the kind was found without a bound; empty: the same words.
    """

    does: str
    describes: str
    does_unbounded: str = ""


def kind_wordings() -> dict[ShortcutKind, KindWording]:
    """Every kind in words, in the order in which kinds are tried."""
    return {
        ShortcutKind.BOUNDED_STACK: KindWording(
            does="is correct while at most {k} calls are pending, and wrong beyond",
            describes="the ground-truth machine holds more than *k* frames at some step",
        ),
        ShortcutKind.BOUNDED_DEPTH: KindWording(
            does="follows the recursion down to depth {k} and no further",
            describes="the recursion goes deeper than *k*",
        ),
        ShortcutKind.DEEP_BASE_CASE: KindWording(
            does="takes the base case wrongly after {k} or more recursive steps",
            describes="the recursion is as deep as the length allows, and at least *k* deep",
        ),
        ShortcutKind.POSITION_KEYED: KindWording(
            does="takes {step} wrongly depending on the output position, first at output index {k}",
            describes="the ι-step in question fires at output index *k* or later; or it fires at"
            " *k*, if later ones are correct",
        ),
        ShortcutKind.LENGTH_KEYED: KindWording(
            does="takes {step} wrongly depending on the input's length, first at {k} tokens",
            describes="the ι-step in question fires, and the input has at least *k* tokens; or"
            " exactly *k*, if longer ones are correct",
        ),
        ShortcutKind.BOUNDED_RUN: KindWording(
            does="carries a state along for at most {k} steps",
            describes="the ground-truth machine stays in one mode, by some of its recursive steps,"
            " for more than *k* steps",
        ),
        ShortcutKind.DOES_NOT_END: KindWording(
            does="writes an output that does not end",
            describes="(of the outputs) none ends: the model's is cut, and the machine goes round",
        ),
        ShortcutKind.DROPPED_REPEATS: KindWording(
            does="drops tokens that it has written before",
            describes="(of the outputs) each is the correct output without its repeated tokens",
        ),
        ShortcutKind.MISSING_RULE: KindWording(
            does="never takes {step} correctly",
            describes="the ι-step in question fires at all",
        ),
        ShortcutKind.PREMATURE_END: KindWording(
            does="ends its output too early, after {k} tokens",
            does_unbounded="ends its output too early",
            describes="(of the outputs) each is a proper prefix of the correct output, of *k*"
            " tokens if all have the same length",
        ),
        ShortcutKind.OVERRUN: KindWording(
            does="continues to write where the output should end",
            describes="(of the outputs) the correct output is a proper prefix of each",
        ),
        ShortcutKind.COPIED_PATTERN: KindWording(
            does="copies fixed positions of the input, the same ones for all inputs of a length",
            describes="(of the outputs) all outputs for one input length copy the same positions of"
            " the input, token by token",
        ),
        ShortcutKind.DEGENERATE: KindWording(
            does="writes an output that does not depend on the input",
            describes="the output does not depend on the input; the verdict is then `undetermined`",
        ),
        ShortcutKind.OTHER: KindWording(
            does="diverges from the ground truth in a way that no named kind describes",
            describes="none of these fits",
        ),
    }


def kind_does(kind: ShortcutKind, bound: int | None, step: str = "") -> str:
    """What a model of a kind does, the predicate of a sentence."""
    wording = kind_wordings()[kind]
    text = wording.does_unbounded if bound is None and wording.does_unbounded else wording.does
    return text.format(k=bound, step=f"the step {step}" if step else "one step")


def kind_label(kind: ShortcutKind, bound: int | None) -> str:
    """`bounded-depth 3`: a kind with its bound."""
    return kind.value if bound is None else f"{kind.value} {bound}"


def shortcut_does(shortcut: Shortcut) -> str:
    """What the model does in one way of diverging, by the first kind that fits."""
    return kind_does(shortcut.kind, shortcut.bound, shortcut.step)


def other_labels(shortcut: Shortcut) -> Sequence[str]:
    """The other kinds that fit as well: nothing on the domain distinguishes them."""
    return [kind_label(kind, bound) for kind, bound in shortcut.bounds[1:]]
