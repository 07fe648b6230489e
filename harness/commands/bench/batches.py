"""What trials proposed at once cost a search: the real sampler on landscapes like recorded ones.

A Gaussian process (Matern 5/2 and white noise) is fitted to a loss's recorded trials, and
landscapes are drawn from what these leave possible, as functions that can be asked anywhere (Wilson
et al. 2020, arXiv 2002.09309, eq. 11). The same search runs on each landscape with batches of
several sizes, with the same noise of a trial's score. What counts is the landscape at the trial
that the search chooses. So the searches' other luck is shared, and their differences are paired.

Racing is replayed on the recorded folds themselves: how many it would not have trained, and how far
below the recorded winner its own winner is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from harness.commands import reading
from harness.commands.derivation import space_of
from harness.measure.intervals import Interval, t_interval
from harness.protocol import race
from harness.protocol.search import Space, Trial, best, in_space, propose
from harness.protocol.trials import fold_records, trials_of
from harness.schema import Problem, Record, Study
from harness.seeds import seed_from

BATCHES = (2, 4, 10)
DRAWS = 60  # landscapes of each loss
FEATURES = 1024  # random Fourier features of a landscape
LEAST = 20  # recorded trials, below which a landscape is hardly more than its prior
NU = 2.5

Floats = npt.NDArray[np.float64]
Landscape = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True)
class Cost:
    """What batches do to one loss's search, in points of held-out MAP@R.

    `below` [batch size]: how far the chosen trial lies below that of trials proposed one by one.
    `random` says the same of a search whose trials are all drawn at random.
    """

    loss: str
    recorded: int  # trials
    noise: float  # of a trial's score, one standard deviation
    below: Mapping[int, Interval]
    random: Interval
    raced_share: float  # of the folds that racing would not have trained
    raced_below: float  # how far its winner's recorded score lies below the best one


def unit(space: Space, params: Mapping[str, Any]) -> Floats:
    """Params as a point [d] of the unit cube: along the scale on which each is searched."""
    point = []
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            place = distribution.choices.index(params[name])
            point.append(place / max(1, len(distribution.choices) - 1))
            continue
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        scale = math.log if distribution.log else float
        low, high, value = (scale(v) for v in (distribution.low, distribution.high, params[name]))
        point.append((value - low) / (high - low) if high > low else 0.0)
    return np.array(point)


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process behind recorded trials: points [n, d] of the unit cube, scores [n]."""

    space: Space
    points: Floats
    scores: Floats
    mean: float
    amplitude: float  # one standard deviation of the process, in points
    length: float
    noise: float  # one standard deviation

    def kernel(self, a: Floats, b: Floats) -> Floats:
        """Covariances [n, m] of the process between points [n, d] and [m, d]."""
        from sklearn.gaussian_process.kernels import Matern

        shape: Floats = Matern(self.length, nu=NU)(a, b)
        return self.amplitude**2 * shape

    def draw(self, rng: np.random.Generator) -> Landscape:
        """A landscape that the recorded trials leave possible."""
        n, d = self.points.shape
        # the spectral density of Matern is a t distribution with 2 nu degrees of freedom
        frequencies = rng.standard_normal((FEATURES, d)) / self.length
        frequencies *= np.sqrt(2 * NU / rng.chisquare(2 * NU, (FEATURES, 1)))
        phases = rng.uniform(0, 2 * math.pi, FEATURES)
        weights = rng.standard_normal(FEATURES) * self.amplitude * math.sqrt(2 / FEATURES)

        def prior(points: Floats) -> Floats:
            values: Floats = np.cos(points @ frequencies.T + phases) @ weights
            return values

        covariance = self.kernel(self.points, self.points) + self.noise**2 * np.eye(n)
        seen = self.scores - self.mean - rng.normal(0, self.noise, n) - prior(self.points)
        update = np.linalg.solve(covariance, seen)

        def landscape(params: Mapping[str, Any]) -> float:
            point = unit(self.space, params)[None]
            return float(self.mean + prior(point)[0] + self.kernel(point, self.points)[0] @ update)

        return landscape


def posterior(space: Space, trials: Sequence[Trial]) -> Posterior:
    """The process of highest likelihood behind the trials that have a score, in percent."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scored = [trial for trial in trials if trial.score is not None]
    points = np.array([unit(space, trial.params) for trial in scored])
    scores = np.array([100 * trial.score for trial in scored if trial.score is not None])
    mean, spread = float(scores.mean()), float(scores.std()) or 1.0
    shape = ConstantKernel(1.0, (0.1, 30.0)) * Matern(1.0, (0.1, 10.0), nu=NU)
    fitted = GaussianProcessRegressor(
        shape + WhiteKernel(0.05, (1e-3, 1.0)), n_restarts_optimizer=5, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a value at the end of its range is one
        fitted.fit(points, (scores - mean) / spread)
    amplitude, length, noise = np.exp(fitted.kernel_.theta)
    return Posterior(
        space=space,
        points=points,
        scores=scores,
        mean=mean,
        amplitude=spread * math.sqrt(amplitude),
        length=float(length),
        noise=spread * math.sqrt(noise),
    )


def chosen(
    study: Study, space: Space, landscape: Landscape, noise: Floats, *, batch: int, seed: int
) -> float:
    """The landscape at the trial that a search of the study chooses; `noise` [trials] of scores."""
    trials: list[Trial] = []
    while len(trials) < study.trials:
        count = min(batch, study.trials - len(trials))
        proposals = propose(
            space,
            trials,
            count,
            startup=study.startup_trials,
            seed=seed_from(seed, len(trials)),
        )
        for params in proposals:
            trials.append(Trial(params, landscape(params) + noise[len(trials)]))
    winner = best(dict(enumerate(trials)))
    assert winner is not None
    return landscape(trials[winner].params)


def raced(study: Study, records: Sequence[Record]) -> tuple[float, float]:
    """Share of the recorded folds that racing leaves out, and points that its winner is below."""
    folds = fold_records(records, stage=study.trial_stage)
    trials = trials_of(study, records)
    racing = replace(study, race=True, parallel_trials=1)
    trained: list[Record] = []
    for number in sorted(trials):
        ran: dict[int | None, Record] = {}
        earlier = fold_records(trained, stage=study.trial_stage)
        for fold in range(study.folds):
            ran[fold] = folds[number][fold]
            if race.is_out(racing, earlier | {number: ran}, number):
                break
        trained += ran.values()
    winner, at_best = best(trials_of(racing, trained)), best(trials)
    assert winner is not None
    assert at_best is not None
    won, at_most = trials[winner].score, trials[at_best].score
    assert won is not None
    assert at_most is not None
    return 1 - len(trained) / (len(trials) * study.folds), 100 * (at_most - won)


def cost(study: Study, loss: str, space: Space, records: Sequence[Record]) -> Cost | None:
    """What batches cost a loss with recorded trials; None where they are too few.

    The searches have the trials of `study`; those that were recorded may be fewer.
    """
    trials = [
        trial
        for trial in trials_of(study, records).values()
        if trial.score is not None and in_space(space, trial.params) is not None
    ]
    if len(trials) < LEAST or not space:
        return None
    behind = posterior(space, trials)
    below: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    random = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(seed_from("batches", loss, draw))
        landscape = behind.draw(rng)
        noise = rng.normal(0, behind.noise, study.trials)
        seed = seed_from("batches", loss, draw, "search")
        one_by_one = chosen(study, space, landscape, noise, batch=1, seed=seed)
        for batch in BATCHES:
            at_once = chosen(study, space, landscape, noise, batch=batch, seed=seed)
            below[batch].append(one_by_one - at_once)
        blind = replace(study, startup_trials=study.trials)
        drawn = chosen(blind, space, landscape, noise, batch=study.trials, seed=seed)
        random.append(one_by_one - drawn)
    share, raced_below = raced(study, records)
    return Cost(
        loss=loss,
        recorded=len(trials),
        noise=behind.noise,
        below={batch: t_interval(values) for batch, values in below.items()},
        random=t_interval(random),
        raced_share=share,
        raced_below=raced_below,
    )


@dataclass(frozen=True)
class Costs:
    """The costs of a study's losses on a dataset, and the losses that have too few trials."""

    study: Study
    dataset: str
    costs: Sequence[Cost]
    too_few: Sequence[str]

    def lines(self) -> list[str]:
        """The costs as a markdown table, with what is assumed above it."""
        study = self.study
        rows = [
            f"{study.name} on {self.dataset}: points of held-out MAP@R that the chosen trial of a "
            f"search of {study.trials} lies below that of trials proposed one by one; mean ± 95 % "
            f"t interval over {DRAWS} landscapes that the recorded trials leave possible",
            "",
            "| loss | recorded trials | noise of a score | "
            + " | ".join(f"{batch} at once" for batch in BATCHES)
            + " | all at random | folds that racing leaves out | its winner is below by |",
            "|-|" + "-:|" * (len(BATCHES) + 5),
        ]
        for cost in self.costs:
            below = [*(cost.below[batch] for batch in BATCHES), cost.random]
            cells = [f"{each.mean:.2f} ± {each.half_width:.2f}" for each in below]
            rows.append(
                f"| {cost.loss} | {cost.recorded} | {cost.noise:.2f} | {' | '.join(cells)} | "
                f"{100 * cost.raced_share:.0f} % | {cost.raced_below:.2f} |"
            )
        if self.too_few:
            rows += ["", f"Fewer than {LEAST} recorded trials: {', '.join(self.too_few)}."]
        return rows

    def as_data(self) -> dict[str, Any]:
        """The same for --json."""
        return {
            "study": self.study.name,
            "dataset": self.dataset,
            "trials": self.study.trials,
            "landscapes": DRAWS,
            "losses": [asdict(cost) for cost in self.costs],
            "too_few_trials": list(self.too_few),
        }


def of_folder(where: Path, study: Study, say: Callable[[str], None]) -> Costs:
    """The costs of every loss with records in a folder; the searches have the trials of `study`.

    Problem where no loss has LEAST recorded trials.
    """
    records = reading.read_records(where, None)
    costs, too_few = [], []
    for loss, of_loss in records.by_loss.items():
        space = space_of(study, loss)
        if not space:
            continue
        say(f"batches: {loss}")
        found = cost(study, loss, space, of_loss)
        if found is None:
            too_few.append(loss)
        else:
            costs.append(found)
    if not costs:
        raise Problem(
            f"{where}: no loss has {LEAST} finished trials with a score, which the landscapes are "
            "made of; search longer, or give another --results"
        )
    return Costs(study, records.dataset, costs, too_few)
