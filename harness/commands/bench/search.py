"""The search's own cost: proposing a trial after 200 others."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from harness.commands.bench.timing import Comparison, Setting, in_turn, seconds
from harness.protocol import search
from harness.schema import Study
from harness.seeds import seed_from
from harness.training import search_space

EARLIER = 200
LOSS = "warped"


def measure(setting: Setting) -> list[Comparison]:
    """Milliseconds to propose; the baseline asks and tells an Optuna study in SQLite.

    Ours rebuilds its sampler from the records every time. The baseline's study is in a file, so
    that it can be resumed as well.
    """
    space, trials = a_history()
    baseline = optuna_study(space, trials, setting.folder / "search.db")
    values = in_turn(
        lambda: 1e3 * seconds(functools.partial(proposal, space, trials), setting.device),
        lambda: 1e3 * seconds(functools.partial(_ask_and_tell, baseline, space), setting.device),
        setting.rounds,
    )
    return [
        Comparison(
            name="search",
            what=f"propose a trial after {EARLIER}, {len(space)} parameters",
            unit="ms",
            ours=tuple(values[0]),
            baseline=tuple(values[1]),
            most=50.0,
        )
    ]


def a_history() -> tuple[search.Space, list[search.Trial]]:
    """The search space of a loss with many parameters, and trials drawn from it, some failed."""
    study = Study(name="bench")
    space = search_space.of_loss(study, LOSS)
    rng = np.random.default_rng(0)
    params = search.propose(space, [], EARLIER, startup=EARLIER, seed=0)
    return space, [
        search.Trial(values, None if rng.random() < 0.05 else float(rng.random()))
        for values in params
    ]


def proposal(space: search.Space, trials: list[search.Trial]) -> dict[str, Any]:
    """The next trial's params."""
    seed = seed_from("bench", "proposals", len(trials))
    return search.propose(space, trials, 1, startup=10, seed=seed)[0]


def optuna_study(space: search.Space, trials: list[search.Trial], path: Path) -> Any:
    """An Optuna study in SQLite with the same sampler and the same trials."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=10, seed=0, multivariate=True, constant_liar=True
    )
    study = optuna.create_study(
        storage=f"sqlite:///{path}", sampler=sampler, direction="maximize", study_name="bench"
    )
    states = optuna.trial.TrialState
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=states.PRUNED if trial.score is None else states.COMPLETE,
                value=trial.score,
                params=dict(trial.params),
                distributions=dict(space),
            )
        )
    return study


def _ask_and_tell(study: Any, space: search.Space) -> None:
    study.tell(study.ask(dict(space)), 0.5)
