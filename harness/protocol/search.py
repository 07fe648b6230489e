"""Earlier trials to the next params: Optuna's TPE, rebuilt from records every time it is asked.

Nothing is kept between calls, so the params of a trial are a pure function of the space, the trials
of the earlier batches and a seed made of names.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from harness.schema import Problem, Study

Space = Mapping[str, BaseDistribution]
NEVER = datetime.datetime(1970, 1, 1)  # a finished trial must have ended at some time
OPTIMISER = ("lr", "loss_lr", "followup_lr_ratio")


@dataclass(frozen=True)
class Trial:
    """What the search knows of a trial: its params and the mean held-out score, None if failed."""

    params: Mapping[str, Any]
    score: float | None
    raced_out: bool = False  # its score is an estimate from some of its folds


def space_of(study: Study, loss: ModuleType, norm: float) -> Space:
    """Everything that is searched for a loss in a study, by the names that records use.

    `norm` is the mean initial norm of the network's unbounded embeddings: the ranges in
    loss.SCALED are stated for another norm and are scaled to it. Follow-up values are named
    followup_<parameter>, or followup_<parameter>_ratio where they are relative.
    """
    space: dict[str, BaseDistribution] = {}
    for name in OPTIMISER:
        searched = getattr(study, name)
        wanted = {"lr": True, "loss_lr": loss.OWN_PARAMETERS, "followup_lr_ratio": study.followup}
        if isinstance(searched, tuple) and wanted[name]:
            space[name] = FloatDistribution(searched[0], searched[1], log=True)
    for name, distribution in loss.SPACE.items():
        reference = loss.SCALED.get(name)
        space[name] = distribution if reference is None else _scaled(distribution, norm / reference)
    if study.followup:
        space |= {f"followup_{name}": spread for name, spread in loss.FOLLOWUP.items()}
    return space


def _scaled(distribution: BaseDistribution, factor: float) -> BaseDistribution:
    if not isinstance(distribution, FloatDistribution) or distribution.step is not None:
        raise Problem(f"{distribution} cannot be scaled by the embedding norm; use a plain float")
    return FloatDistribution(
        distribution.low * factor, distribution.high * factor, log=distribution.log
    )


def loss_params(space: Space, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The loss's constructor params of the normal and of the follow-up phase."""
    own = {
        name: value
        for name, value in params.items()
        if name not in OPTIMISER and not name.startswith("followup_")
    }
    later = dict(own)
    for name, value in params.items():
        target = name.removeprefix("followup_")
        if target == name or name in OPTIMISER:
            continue
        if target in own or not target.endswith("_ratio"):
            later[target] = value
        else:
            target = target.removesuffix("_ratio")
            later[target] = own[target] * value
    unknown = set(params) - set(space) if space else set()
    if unknown:
        raise Problem(f"params {sorted(unknown)} are in no search space of this study and loss")
    return own, later


def propose(
    space: Space, earlier: Sequence[Trial], count: int, *, startup: int, seed: int
) -> list[dict[str, Any]]:
    """Params of the next `count` trials after `earlier`; the first `startup` are random.

    Trials without a score are told as PRUNED: TPE ignores FAIL and would go back to the region.
    Within a batch each proposal counts the ones before it as running (constant liar).
    """
    if not space:
        return [{} for _ in range(count)]
    import optuna

    # The arguments that Optuna 5 deprecates (prior, magic clip, end points, gamma, weights) cannot
    # be pinned without a warning; all others are, because defaults changed from 4.x to 5.0.
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=startup,
        n_ei_candidates=24,
        seed=seed,
        multivariate=True,
        group=False,
        constant_liar=True,
    )
    with _quiet(optuna.logging):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for number, trial in enumerate(earlier):
            study.add_trial(_told(number, trial, space))
        asked = [study.ask(dict(space)).params for _ in range(count)]
    # Through JSON once, so that what trains is exactly what a record can hold.
    return [dict(json.loads(json.dumps(params))) for params in asked]


class _Told(FrozenTrial):
    """An earlier trial. No one changes it, so Optuna's storage need not copy what it holds.

    It copies trials deeply, distributions included, which would be most of a proposal's time.
    """

    def __deepcopy__(self, _memo: object) -> _Told:
        return copy.copy(self)


def _told(number: int, trial: Trial, space: Space) -> _Told:
    state = TrialState.PRUNED if trial.score is None else TrialState.COMPLETE
    return _Told(
        number=number,
        trial_id=number,
        state=state,
        value=trial.score,
        datetime_start=NEVER,
        datetime_complete=NEVER,
        params=dict(trial.params),
        distributions=dict(space),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


@contextlib.contextmanager
def _quiet(logging: Any) -> Any:
    """Optuna's log lines off for a while; its verbosity is a global of the library."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def best(trials: Mapping[int, Trial]) -> int | None:
    """The number of the trial with the highest score, the earlier of equals; None if all failed.

    Only a trial with all its folds can be the best one.
    """
    scored = {
        number: trial.score
        for number, trial in trials.items()
        if trial.score is not None and not trial.raced_out
    }
    return max(scored, key=lambda number: (scored[number], -number)) if scored else None
