"""Earlier trials to the next params: Optuna's TPE, rebuilt from records at every proposal.

Nothing is kept between calls. So the params of a trial are a pure function of the space, of the
trials of the earlier batches and of a seed made from names.
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
ANY_TIME = datetime.datetime(1970, 1, 1)  # Optuna wants one for a finished trial; no one reads it
OPTIMISER_PARAMS = ("lr", "loss_lr", "followup_lr_ratio")


@dataclass(frozen=True)
class Trial:
    """What the search knows of a trial: its params and mean held-out score, None if it failed."""

    params: Mapping[str, Any]
    score: float | None
    raced_out: bool = False  # its score is an estimate from some of its folds


def space_of(study: Study, loss: ModuleType, norm: float) -> Space:
    """Everything that is searched for a loss in a study, by the names that records use.

    `norm` is the mean initial norm of the network's unbounded embeddings. The ranges of the params
    in loss.REFERENCE_NORM are stated for another norm and are scaled to this one. Follow-up values
    are named followup_<parameter>, or followup_<parameter>_ratio where they are relative.
    """
    space: dict[str, BaseDistribution] = {}
    for name in OPTIMISER_PARAMS:
        searched = getattr(study, name)
        wanted = {"lr": True, "loss_lr": loss.OWN_PARAMETERS, "followup_lr_ratio": study.followup}
        if isinstance(searched, tuple) and wanted[name]:
            space[name] = FloatDistribution(searched[0], searched[1], log=True)
    for name, distribution in loss.SPACE.items():
        reference = loss.REFERENCE_NORM.get(name)
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
    normal = {
        name: value
        for name, value in params.items()
        if name not in OPTIMISER_PARAMS and not name.startswith("followup_")
    }
    followup = dict(normal)
    for name, value in params.items():
        target = name.removeprefix("followup_")
        if target == name or name in OPTIMISER_PARAMS:
            continue
        if target in normal or not target.endswith("_ratio"):
            followup[target] = value
        else:
            target = target.removesuffix("_ratio")
            followup[target] = normal[target] * value
    unknown = set(params) - set(space) if space else set()
    if unknown:
        raise Problem(f"params {sorted(unknown)} are in no search space of this study and loss")
    return normal, followup


def propose(
    space: Space, earlier: Sequence[Trial], count: int, *, startup: int, seed: int
) -> list[dict[str, Any]]:
    """Params of the next `count` trials after `earlier`; the first `startup` are random.

    Trials without a score count as PRUNED: TPE ignores FAIL and would return to their region.
    Within a batch each proposal counts the ones before it as running (constant liar).
    """
    if not space:
        return [{} for _ in range(count)]
    import optuna

    # Every argument is pinned, because defaults changed from 4.x to 5.0. The exceptions are those
    # that Optuna 5 deprecates and warns about (prior, magic clip, end points, gamma, weights).
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
            study.add_trial(_finished_trial(number, trial, space))
        proposals = [study.ask(dict(space)).params for _ in range(count)]
    # Through JSON once, so that a run trains exactly what its record can hold.
    return [dict(json.loads(json.dumps(params))) for params in proposals]


class _FinishedTrial(FrozenTrial):
    """A finished trial as Optuna's storage holds it, with shallow copies in place of deep ones.

    Deep copies, distributions included, would be most of a proposal's time. They are not needed,
    because nobody changes a finished trial.
    """

    def __deepcopy__(self, _memo: object) -> _FinishedTrial:
        return copy.copy(self)


def _finished_trial(number: int, trial: Trial, space: Space) -> _FinishedTrial:
    state = TrialState.PRUNED if trial.score is None else TrialState.COMPLETE
    return _FinishedTrial(
        number=number,
        trial_id=number,
        state=state,
        value=trial.score,
        datetime_start=ANY_TIME,
        datetime_complete=ANY_TIME,
        params=dict(trial.params),
        distributions=dict(space),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


@contextlib.contextmanager
def _quiet(logging: Any) -> Any:
    """Optuna's log lines off within the block; the library's verbosity is a global."""
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
