"""Every threshold of `explain` in one value, recorded with each explanation."""

from __future__ import annotations

from dataclasses import dataclass

from recinterp.causal.config import DEFAULTS as CAUSAL
from recinterp.causal.config import CausalConfig
from recinterp.divergence.config import DEFAULTS as DIVERGENCE
from recinterp.divergence.config import DivergenceConfig
from recinterp.judge.config import DEFAULTS as FIDELITY
from recinterp.judge.config import FidelityConfig
from recinterp.probe.config import DEFAULTS as HEADS
from recinterp.probe.config import HeadConfig
from recinterp.synthesis.config import DEFAULTS as SEARCH
from recinterp.synthesis.config import SearchConfig


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """The thresholds of `explain`; `dataclasses.replace(config, field=…)` changes one of them.

    Attributes:
        max_enumerated: inputs; a domain that holds no more is compared on every one of them, and
            the comparison is exhaustive. 70,000 just covers all binary numbers of 16 tokens.
        sample_size: inputs drawn from a domain that is too large to enumerate. A failure of 1 in
            1,000 inputs is then met about 20 times. A quarter as many of the domain's shortest
            inputs are compared as well, because counterexamples are read from those.
        causal: sizes and thresholds of the network half: sites, mechanism, forced-prefix rules.
        divergence: thresholds of the verdict and of the kinds of shortcut.
        heads: thresholds of the roles of heads.
        fidelity: sizes of the held-out sets that the machine is judged on.
        search: thresholds of the search for a machine.
    """

    max_enumerated: int = 70_000
    sample_size: int = 20_000
    causal: CausalConfig = CAUSAL
    divergence: DivergenceConfig = DIVERGENCE
    heads: HeadConfig = HEADS
    fidelity: FidelityConfig = FIDELITY
    search: SearchConfig = SEARCH


DEFAULTS = ExplainConfig()
