"""The range of a searched param: the loss's, or the study's, scaled where it follows a norm."""

from __future__ import annotations

from types import ModuleType

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from harness.schema import Problem, Study

FOLLOWUP, RATIO = "followup_", "_ratio"  # around a parameter: its value in the second phase


def check_names(study: Study, loss: ModuleType, name: str) -> None:
    """Problem where the study fixes or ranges what the loss does not have, or does not search."""
    searched = [*loss.SPACE, *(f"{FOLLOWUP}{key}" for key in loss.FOLLOWUP)]
    allowed = {"loss_params": [*loss.SPACE, *loss.FIXED], "loss_ranges": searched}
    for field, names in allowed.items():
        for param in getattr(study, field).get(name, {}):
            if param not in names:
                kind = "parameter" if field == "loss_params" else "searched parameter"
                raise Problem(
                    f"study {study.name!r}: {field} names {param!r}, which is no {kind} of the "
                    f"loss {name}; known: {', '.join(names) or 'none'}"
                )


def of_study(
    study: Study, loss: str, param: str, distribution: BaseDistribution
) -> BaseDistribution:
    """A distribution of a loss with the bounds that the study sets in loss_ranges, if it does."""
    bounds = study.loss_ranges.get(loss, {}).get(param)
    if bounds is None:
        return distribution
    low, high = bounds
    if isinstance(distribution, FloatDistribution):
        wrong = "on a log scale, which needs low above 0" if distribution.log and low <= 0 else ""
    elif isinstance(distribution, IntDistribution):
        whole = all(isinstance(bound, int) for bound in bounds)
        least = 1 if distribution.log else low
        wrong = "" if whole and low >= least else f"in whole numbers like {distribution}"
    else:
        wrong = f"among the choices of {distribution}"
    if wrong:
        raise Problem(
            f"study {study.name!r}: loss_ranges[{loss!r}][{param!r}] = {bounds!r}, but {param} is "
            f"searched {wrong}; correct it in the study's file"
        )
    if isinstance(distribution, IntDistribution):
        return IntDistribution(low, high, log=distribution.log, step=distribution.step)
    assert isinstance(distribution, FloatDistribution)
    return FloatDistribution(low, high, log=distribution.log, step=distribution.step)


def scaled(distribution: BaseDistribution, factor: float) -> BaseDistribution:
    """A distribution whose bounds are multiplied by a factor."""
    if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
        raise Problem(f"{distribution} cannot be scaled by the embedding norm; use a plain float")
    return FloatDistribution(
        distribution.low * factor, distribution.high * factor, log=distribution.log
    )
