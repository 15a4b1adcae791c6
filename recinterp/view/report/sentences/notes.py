"""Titles and notes of the report's sections: what each table shows and how it was measured."""

from __future__ import annotations

from enum import StrEnum


class Title(StrEnum):
    """The report's sections, in the order in which they are shown."""

    COUNTEREXAMPLE = "Shortest counterexample"
    MACHINES = "Learned machine and ground truth"
    WAYS = "Ways in which the machine diverges"
    WHERE = "Errors by depth and length"
    UNEXPLAINED = "Unexplained inputs"
    HEADS = "Heads"
    SITES = "Localised variables (interchange interventions)"
    FORCED = "Behaviour after a forced output prefix"
    FIDELITY = "Fidelity on held-out inputs"
    EQUIVALENT = "Machines equivalent on this domain"
    REJECTED = "Rejected hypotheses"


class Note(StrEnum):
    """What a section's numbers mean."""

    WHERE = "Share of the model's wrong outputs in percent, of all compared inputs of each cell."
    MATCH = (
        "Match: the machine's output is exactly the model's. The last three columns are baselines "
        "that need no explanation: “model is right” always, “wrong beyond trained depth”, and the "
        "“nearest” query's behaviour."
    )
    FAILURES = (
        "Errors: inputs on which the model is wrong. Exact: the wrong output token for token. "
        "Flag: only that it is wrong. Brackets: 95% intervals."
    )
    HEADS = (
        "● recursion head: its attention follows a landmark of the data, and a transplant from "
        "another step changes the output to that step's token. In brackets: an untrained twin's "
        "attention, a random direction's effect."
    )
    SUBSPACES = (
        "Directions: a learned subspace in which only this variable is interchanged; judged on "
        "pairs from which it was not learned, where the source writes a third token if there are "
        "enough such pairs."
    )
    PULLS = (
        "After a forced output the model mixes several ways to go on: each step of the machine's "
        "run is scored by what draws the next token to it, and the highest score writes next."
    )
    FORCED = (
        "Measured on inputs from which no rule was learned: how often the model does this, and how "
        "often the machine without this rule predicts its token."
    )
