"""Earlier trials to the next params: Optuna's TPE, rebuilt from records at every proposal.

Nothing is kept between calls. So the params of a trial are a pure function of the space, of the
trials of the earlier batches and of a seed made from names.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from harness.protocol import ranges
from harness.protocol.ranges import FOLLOWUP, RATIO
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


def space_of(study: Study, loss: ModuleType, norm: float, name: str | None = None) -> Space:
    """Everything that is searched for a loss in a study, by the names that records use.

    `name` is that of a variant in `study.for_loss(name)`; without it the loss's own.

    `norm` is the mean initial norm of the network's unbounded embeddings. The ranges of the params
    in loss.REFERENCE_NORM are stated for another norm and are scaled to this one. Follow-up values
    are named followup_<parameter>, or followup_<parameter>_ratio where they are relative. What the
    study fixes in `loss_params` is not searched; its `loss_ranges` replace those of the loss.
    """
    name = name or loss.__name__.removeprefix("losses.")
    fixed = study.loss_params.get(name, {})
    ranges.check_names(study, loss, name)
    space: dict[str, BaseDistribution] = {}
    for param in OPTIMISER_PARAMS:
        searched = getattr(study, param)
        wanted = {"lr": True, "loss_lr": loss.OWN_PARAMETERS, "followup_lr_ratio": study.followup}
        if isinstance(searched, tuple) and wanted[param]:
            space[param] = FloatDistribution(searched[0], searched[1], log=True)
    for param, distribution in loss.SPACE.items():
        if param not in fixed:
            reference = loss.REFERENCE_NORM.get(param)
            chosen = ranges.of_study(study, name, param, distribution)
            space[param] = chosen if reference is None else ranges.scaled(chosen, norm / reference)
    for key, distribution in loss.FOLLOWUP.items() if study.followup else ():
        if key not in fixed and key.removesuffix(RATIO) not in fixed:
            param = f"{FOLLOWUP}{key}"
            space[param] = ranges.of_study(study, name, param, distribution)
    return space


def fixed_params(study: Study, loss: str) -> dict[str, Any]:
    """The params that a study fixes for a loss, as records hold them."""
    fixed: dict[str, Any] = json.loads(json.dumps(dict(study.loss_params.get(loss, {}))))
    return fixed


def searched_params(study: Study, loss: str, params: Mapping[str, Any]) -> list[str]:
    """Those of a record's params that were searched: all that the study does not fix."""
    return [name for name in params if name not in study.loss_params.get(loss, {})]


def loss_params(space: Space, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The loss's constructor params of the normal and of the follow-up phase.

    A follow-up value is absolute or relative, whatever the loss's file says today: older records
    have absolute ones. Problem for params that are not in `space` in either form, unless that is
    empty.
    """
    normal = {
        name: value
        for name, value in params.items()
        if name not in OPTIMISER_PARAMS and not name.startswith(FOLLOWUP)
    }
    followup = dict(normal)
    for name, value in params.items():
        target = name.removeprefix(FOLLOWUP)
        if target == name or name in OPTIMISER_PARAMS:
            continue
        if target in normal or not target.endswith(RATIO):
            followup[target] = value
        else:
            target = target.removesuffix(RATIO)
            followup[target] = normal[target] * value
    unknown = {name for name in params if name not in space and _other_form(name) not in space}
    if space and unknown:
        raise Problem(f"params {sorted(unknown)} are in no search space of this study and loss")
    return normal, followup


def _other_form(name: str) -> str:
    """The name of a follow-up param where it is relative, or absolute, and `name` is not."""
    return name.removesuffix(RATIO) if name.endswith(RATIO) else f"{name}{RATIO}"


def in_space(space: Space, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The params of a trial by the names of the space; None if one is missing or out of its range.

    An absolute follow-up value becomes a ratio where the space has that, and the other way round.
    Params that the study fixes are in no space and are left out.
    """
    values = {name: params[name] for name in params if name in space}
    for name in space:
        other = _other_form(name)
        if name in values or not name.startswith(FOLLOWUP) or other not in params:
            continue
        normal = params.get(name.removeprefix(FOLLOWUP).removesuffix(RATIO))
        if name.endswith(RATIO):
            values[name] = params[other] / normal if normal else math.nan
        elif normal is not None:
            values[name] = params[other] * normal
    inside = values.keys() == space.keys() and all(
        _contains(distribution, values[name]) for name, distribution in space.items()
    )
    return values if inside else None


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution can give the value."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def propose(
    space: Space, earlier: Sequence[Trial], count: int, *, startup: int, seed: int
) -> list[dict[str, Any]]:
    """Params of the next `count` trials after `earlier`; the first `startup` are random.

    Trials without a score count as PRUNED: TPE ignores FAIL and would return to their region.
    Within a batch each proposal counts the ones before it as running (constant liar). Trials that
    are not of the space, made when a loss had other ranges, inform no proposal.
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
    with quiet(optuna.logging):
        study = optuna.create_study(direction="maximize", sampler=sampler)
        of_space = [
            (trial, values) for trial in earlier if (values := in_space(space, trial.params))
        ]
        for number, (trial, values) in enumerate(of_space):
            study.add_trial(_finished_trial(number, trial, values, space))
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


def _finished_trial(
    number: int, trial: Trial, params: Mapping[str, Any], space: Space
) -> _FinishedTrial:
    state = TrialState.PRUNED if trial.score is None else TrialState.COMPLETE
    return _FinishedTrial(
        number=number,
        trial_id=number,
        state=state,
        value=trial.score,
        datetime_start=ANY_TIME,
        datetime_complete=ANY_TIME,
        params=dict(params),
        distributions=dict(space),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


@contextlib.contextmanager
def quiet(logging: Any) -> Iterator[None]:
    """The log lines of `optuna.logging` off within the block; its verbosity is a global."""
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
