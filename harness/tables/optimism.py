"""Records of the study `optimism` to its table: what choosing on the test classes is worth.

This is the only module that turns test scores of models that were still training into numbers. The
arithmetic is measure/optimism.py's. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.measure import optimism
from harness.measure.optimism import Pool, Rule
from harness.protocol import plan, trials
from harness.schema import BASELINES, POOL, Problem, Record, Study
from harness.seeds import seed_from
from harness.tables.origins import Origins, origins

Floats = npt.NDArray[np.float64]
HALVINGS = 200  # of the test classes, each used both ways round
DRAWS = 500  # single searches of each size
SIZES = (1, 3, 10, 30, 100)  # of a search, in the text
FIGURE_SIZES = 12  # at how many sizes the figure shows the range of single searches
LEAST_CLASSES = 4  # for an interval over test classes


@dataclass(frozen=True)
class Row:
    """One loss: the worth of choosing on test classes among k = 1 to `size` configurations.

    Scores are shares of 1. `curves`: rule -> scores on A and on B of its pick by k - 1. `worth`:
    quantity -> its mean over searches by k - 1. `over_classes`: the half-widths of its 95 %
    intervals over test classes; None with fewer than LEAST_CLASSES. `over_searches`: quantity -> k
    -> between which values 95 % of single searches lie. All are empty with fewer than 2
    configurations; `failed` more have a failed fold. `at_the_end`: how many configurations have
    their best held-out score after the last epoch, so that there was no later one to choose.
    """

    loss: str
    size: int
    failed: int
    at_the_end: int
    n_classes: int
    curves: Mapping[Rule, tuple[Floats, Floats]]
    worth: Mapping[str, Floats]
    over_classes: Mapping[str, Floats] | None
    over_searches: Mapping[str, Mapping[int, tuple[float, float]]]
    progress: plan.Progress
    origins: Origins


@dataclass(frozen=True)
class Table:
    """What choosing on the test classes is worth, loss by loss, on one dataset."""

    study: Study
    dataset: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def table(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Iterable[str] = ()
) -> Table:
    """The table from each loss's records, with their curves, in alphabetical order."""
    rows = [
        _row(study, dataset, loss, records[loss])
        for loss in sorted(records)
        if loss not in BASELINES
    ]
    return Table(study, dataset, tuple(rows), tuple(notes))


def pool_of(study: Study, records: Sequence[Record]) -> tuple[Pool | None, int]:
    """The configurations with all of their folds, and how many more have a failed one.

    None for the pool with fewer than 2. Problem where the records were not scored alike.
    """
    finished = trials.trials_of(study, records)
    by_trial = trials.fold_records(records, stage=POOL)
    complete = [number for number, trial in finished.items() if trial.score is not None]
    failed = len(finished) - len(complete)
    if len(complete) < 2:
        return None, failed
    runs = [by_trial[number][fold] for number in complete for fold in range(study.folds)]
    evaluations = [[entry for entry in run.curve if "test_sums" in entry] for run in runs]
    alike = {
        (tuple(run.test_queries or ()), tuple(entry["epoch"] for entry in entries))
        for run, entries in zip(runs, evaluations, strict=True)
    }
    if len(alike) != 1:
        raise Problem(
            f"{runs[0].dataset}/{runs[0].loss}: its runs were not all scored after the same epochs "
            "on the same test images; `python -m harness check` lists which, take those lines out"
        )
    ((queries, epochs),) = alike
    shape = (len(complete), study.folds, len(epochs))
    held_out = np.array([[entry["map_at_r"] for entry in entries] for entries in evaluations])
    sums = np.array([[entry["test_sums"] for entry in entries] for entries in evaluations])
    pool = Pool(
        held_out=held_out.reshape(shape).mean(1),
        sums=sums.reshape(*shape, len(queries)).mean(1),
        queries=np.array(queries, dtype=np.float64),
    )
    return pool, failed


def sizes_of(row: Row) -> list[int]:
    """The sizes of a search that the text shows: those of SIZES that the pool has, and its own."""
    return sorted({k for k in SIZES if k <= row.size} | {row.size}) if row.curves else []


def _row(study: Study, dataset: str, loss: str, records: Sequence[Record]) -> Row:
    pool, failed = pool_of(study, records)
    curves: Mapping[Rule, tuple[Floats, Floats]] = {}
    worth: Mapping[str, Floats] = {}
    over_classes: Mapping[str, Floats] | None = None
    over_searches: Mapping[str, Mapping[int, tuple[float, float]]] = {}
    at_the_end = 0
    if pool is not None:
        at_the_end = int((pool.held_out.argmax(1) == pool.held_out.shape[1] - 1).sum())
        # Seeded without the loss: all are chosen on the same halves of the test classes.
        rng = np.random.default_rng(seed_from(study.name, dataset, "halvings"))
        in_a = optimism.halvings(len(pool.queries), HALVINGS, rng)
        curves = optimism.curves(pool, in_a)
        worth = optimism.worth(curves)
        if len(pool.queries) >= LEAST_CLASSES:
            over_classes = optimism.over_classes(pool, in_a, rng)
        over_searches = _ranges(pool, in_a, rng)
    return Row(
        loss=loss,
        size=0 if pool is None else pool.size,
        failed=failed,
        at_the_end=at_the_end,
        n_classes=0 if pool is None else len(pool.queries),
        curves=curves,
        worth=worth,
        over_classes=over_classes,
        over_searches=over_searches,
        progress=plan.progress(study, loss, records),
        origins=origins(records),
    )


def _ranges(
    pool: Pool, in_a: optimism.Bools, rng: np.random.Generator
) -> dict[str, dict[int, tuple[float, float]]]:
    """Quantity -> k -> between which values 95 % of single searches lie."""
    spread = np.geomspace(1, pool.size, FIGURE_SIZES).round().astype(int).tolist()
    sizes = sorted({k for k in SIZES if k <= pool.size} | set(spread))
    searches = optimism.single_searches(pool, in_a, sizes, draws=DRAWS, rng=rng)
    ranges: dict[str, dict[int, tuple[float, float]]] = {}
    for name in optimism.QUANTITIES:
        ranges[name] = {}
        for k, values in searches.items():
            low, high = np.quantile(values[name], [0.025, 0.975]).tolist()
            ranges[name][k] = (low, high)
    return ranges
