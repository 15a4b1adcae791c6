"""Sentences on heads and layers: what a role rests on, and what a layer's heads do together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recinterp.probe.results import HeadRole

if TYPE_CHECKING:
    from recinterp.probe.results import Head, LayerFinding


def head_note(head: Head) -> str:
    """The measurements behind a head's role, as one note."""
    text = _role_note(head)
    if not head.is_in_encoder:
        return text
    text = text.replace("; 0% of the effect", "")  # of heads that cannot be transplanted
    if not head.follows:
        return text
    return f"position p attends to {head.landmark} in {head.score:.0%} of the cases; {text}"


def _role_note(head: Head) -> str:
    changed = head.controls.get("ablated", 0.0)
    frozen = head.controls.get("ablated, later patterns frozen", 0.0)
    ablation = f"ablation changes {changed:.0%} of the tokens"
    effect = f"{head.effect:.0%} of the effect"
    match head.role:
        case HeadRole.READER:
            steps = f"{head.score:.0%} of the steps"
            if head.forced.total:
                steps += f", under forced outputs {head.forced.value:.0%}"
            where = f"attends to {head.landmark} in {steps}"
            return f"{where}; {effect}; {ablation}"
        case HeadRole.ATTENTION_ROUTING:
            return f"{ablation}, {frozen:.0%} with the attention of later layers frozen"
        case HeadRole.DISTRIBUTED:
            if not head.passes_gate:
                return f"{effect}, but all heads together change the token too rarely"
            return f"{effect}; its attention follows a landmark in {head.score:.0%} of the steps"
        case HeadRole.INACTIVE:
            return ablation
        case HeadRole.CONTRIBUTING:
            return f"{ablation}; {effect}"


def layer_sentence(finding: LayerFinding) -> str:
    """What the heads of a layer do together, under transplants at the prediction position."""
    block = finding.block
    here = block if block and not block.startswith("L") else f"layer {finding.layer}"
    if block.startswith("E"):
        return f"{here} runs before any output is written; its variables are listed with the sites."
    moved = f"a transplant of all its heads changes the token in {finding.moved}"
    if finding.carries and finding.recursion_heads:
        single = ", ".join(finding.recursion_heads)
        return f"{here} carries the recursion through {single}: {moved}."
    if finding.carries:
        return f"{here} carries the recursion as a whole, no single head does: {moved}."
    return f"{here}: {moved}."
