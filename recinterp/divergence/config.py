"""The thresholds of a verdict, each with its unit and the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DivergenceConfig:
    """Thresholds of the verdict and of the kinds of shortcut.

    Attributes:
        min_predicted_share: Share of the model's errors that a machine must predict token for
            token, and share of the errors it predicts that must be the model's. 0.9 leaves room for
            a few irregular errors, and none for a second rule of the same weight.
        min_predicted_errors: Errors that a machine must predict. Two errors fit too many rules.
        max_sporadic_share: Share of the inputs up to which errors without a rule count as
            sporadic. 1 in 100 leaves a model that is right for most purposes.
        max_listed_share: Share of the inputs below which errors that a machine leaves out are
            forgiven, because they can be listed and read one by one.
        min_distinct_outputs: Correct outputs of one length without which "one output for all inputs
            of a length" proves nothing: with fewer, a model that reads its input can look constant.
        min_token_agreement: Share of the tokens, of the longer of output and correct output, from
            which on a model has learned something of the task though no whole output is correct.
            Models as initialised stay below one half; 2/3 is halfway from there to 5/6.
        min_region_right: Share of the outputs that must be correct where a region says so.
        min_region_recall: Share of the model's errors that must lie outside the region.
        min_region_precision: Share of the inputs outside the region on which the model must err.
        min_region_inputs: Compared inputs inside a region below which it states too little.
        max_region_atoms: Comparisons of a region; with more it is a table in disguise.
        min_atom_gain: Share of the errors that a further comparison must gain.
        max_queried: Queries on which a region is chosen; of more, every second, third, …
        min_inputs: Compared inputs below which a domain is too small to tell machines apart.
        min_inputs_per_length: Inputs of one length that must copy the same positions before the
            output counts as a copied pattern. Three inputs often do so by coincidence.
    """

    min_predicted_share: float = 0.9
    min_predicted_errors: int = 3
    max_sporadic_share: float = 0.01
    max_listed_share: float = 0.001
    min_distinct_outputs: int = 8
    min_token_agreement: float = 2 / 3
    min_region_right: float = 0.999
    min_region_recall: float = 0.95
    min_region_precision: float = 0.9
    min_region_inputs: int = 50
    max_region_atoms: int = 4
    min_atom_gain: float = 0.02
    max_queried: int = 4_000
    min_inputs: int = 300
    min_inputs_per_length: int = 4


DEFAULTS = DivergenceConfig()
