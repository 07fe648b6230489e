"""The ranges of follow-up values that no paper gives: ratios to the value of the normal phase.

Every loss gets the same two, so that none of them has to find its second phase in a larger space
than another. A loss file says where it departs from them, and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from optuna.distributions import BaseDistribution, FloatDistribution

# Of scales, temperatures, weights, and distances between raw embeddings: any factor up to 10.
FACTOR = FloatDistribution(0.1, 10.0, log=True)
# Of what is bounded: margins and thresholds of cosines, angles and unit-length distances, shares,
# probabilities. More than all of it could leave the domain. It is the range of warped's alpha, the
# one such parameter whose follow-up values are published.
SHARE = FloatDistribution(0.2, 1.0)
SOURCE = {
    "factor": "no paper gives it: a tenth to 10 times the normal value, as for every loss here",
    "share": "no paper gives it: a fifth to all of the normal value, as for every loss here",
}


def ratios(
    *, factors: Iterable[str] = (), shares: Iterable[str] = ()
) -> dict[str, FloatDistribution]:
    """FOLLOWUP of the named parameters, as <parameter>_ratio."""
    return {f"{name}_ratio": FACTOR for name in factors} | {
        f"{name}_ratio": SHARE for name in shares
    }


def sources(followup: Mapping[str, BaseDistribution]) -> dict[str, str]:
    """SOURCES of the ratios above among `followup`."""
    return {
        name: SOURCE["factor" if distribution == FACTOR else "share"]
        for name, distribution in followup.items()
        if name.endswith("_ratio") and distribution in (FACTOR, SHARE)
    }
