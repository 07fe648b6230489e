"""A claims file without faults, and one with a fault of every kind."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = dict[str, object]
RUNS = (69.6, 69.9, 70.3, 70.4, 70.8)  # mean 70.2, std 0.464 (ddof 0: 0.415), 95 % interval 0.576
SPREADS = {"spread": 0.2, "spread_kind": "ci95", "n_runs": 10}


def row(claim_id: str, method: str, dataset: str, metric: str, value: float, **columns) -> Row:
    """A row of the paper, of one model with a ResNet50 and 512 dimensions."""
    settings = {"trunk": "resnet50", "dim": 512, "tuned_on": "val", "reported_by": "own"}
    document = {"paper": "A Planted Paper", "paper_year": 2026, "table": "1"}
    number = {"method": method, "dataset": dataset, "metric": metric, "value": value}
    return {"claim_id": claim_id, **document, **number, **settings, **columns}


def row_of_metrics(
    claim_id: str, method: str, dataset: str, values: Mapping[str, float], **columns
):
    """One row per metric; ids end with the metric."""
    return [
        row(f"{claim_id}.{metric}", method, dataset, metric, value, **columns)
        for metric, value in values.items()
    ]


def recalls(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(("R@1", "R@2", "R@4", "R@8"), values, strict=False))


def clean() -> list[Row]:
    """Rows that no check may doubt: every kind of column, in usual relations."""
    rows = []
    for shift, method in enumerate(("loss_a", "loss_b", "loss_c", "loss_d", "loss_e")):
        by = 0.31 * shift
        rows += row_of_metrics(
            f"clean.{method}.cub", method, "cub", recalls([66.1 + by, 76.9 + by, 85.1 + by])
        )
        rows += row_of_metrics(
            f"clean.{method}.cars", method, "cars", recalls([84.2 + by, 90.4 + by, 94.3 + by])
        )
        rows.append(row(f"clean.{method}.sop", method, "sop", "R@1", 78.3 + by))
        for category, gain in {"aggregate": 0.0, "ensemble": 3.4, "complete": 2.2}.items():
            values = {"MAP@R": 23.2 + gain + by, "RP": 34.1 + gain + by, "P@1": 63.3 + gain + by}
            spreads = SPREADS | {"spread": 0.2 + 0.01 * shift}
            name = f"clean.{method}.cub.{category}"
            rows += row_of_metrics(name, method, "cub", values, category=category, **spreads)
    for method, spread, kind, shift in (("loss_f", 0.46, "std", 1), ("loss_g", 0.58, "ci95", 2)):
        runs = [run - shift for run in RUNS]
        columns = of_runs(spread, kind, runs)
        rows.append(row(f"clean.runs.{kind}", method, "cub", "R@1", 70.2 - shift, **columns))
    return rows


def of_runs(spread: float, kind: str, runs: Sequence[float] = RUNS, **columns) -> Row:
    """The columns of a number whose runs are printed."""
    printed = "|".join(f"{run:g}" for run in runs)
    return {"spread": spread, "spread_kind": kind, "n_runs": len(runs), "runs": printed, **columns}


def faults() -> dict[str, tuple[str, list[Row]]]:
    """Name of a planted fault -> the fault that the audit must name, and its rows.

    All rows whose ids begin with "x" must be flagged with the fault, the others with none of it.
    """
    return {**_of_rows(), **_of_runs(), **_of_spreads(), **_of_documents()}


def _of_rows() -> dict[str, tuple[str, list[Row]]]:
    def of_metrics(**values: float) -> list[Row]:
        names = {name.replace("_at_", "@"): value for name, value in values.items()}
        return row_of_metrics("x", "loss_x", "cub", names)

    return {
        "recall falls with K": ("metric_order", of_metrics(R_at_2=78.0, R_at_4=77.0)),
        "P@1 above R@2": ("metric_order", of_metrics(P_at_1=79.0, R_at_2=78.0)),
        "MAP@R above RP": ("metric_order", of_metrics(**{"MAP@R": 35.0, "RP": 34.0})),
        "MAP@R above P@1": ("metric_order", of_metrics(**{"MAP@R": 28.0, "P@1": 27.0})),
        "MAP@R above R@1": ("metric_order", of_metrics(**{"MAP@R": 28.0, "R@1": 27.0})),
        "P@1 is not R@1": ("unequal_twins", of_metrics(P_at_1=66.0, R_at_1=67.0)),
        "no such count of queries": (
            "granularity",
            [row("x", "loss_x", "cub", "R@1", 66.1234, n_runs=1)],
        ),
        "digits changed over": ("unusual_step", of_metrics(R_at_2=75.1, R_at_4=75.9)),
    }


def _of_runs() -> dict[str, tuple[str, list[Row]]]:
    def of(value: float, **columns) -> list[Row]:
        return [row("x", "loss_x", "cub", "R@1", value, **columns)]

    half = [
        row("x1", "loss_x", "cub", "R@1", 70.2, spread=0.5, spread_kind="std", n_runs=10),
        row("x2", "loss_x", "cub", "R@1", 70.2, spread=0.5, spread_kind="ci95", n_runs=10),
    ]
    copied = [
        row("x1", "loss_x", "cub", "R@1", 70.2, **of_runs(0.46, "std", reversed_runs())),
        row("x2", "loss_y", "cub", "R@1", 70.2, **of_runs(0.46, "std", reversed_runs())),
    ]
    return {
        "ci95 that is a std": ("spread_kind", of(70.2, **of_runs(0.46, "ci95"))),
        "std that is a ci95": ("spread_kind", of(70.2, **of_runs(0.58, "std"))),
        "spread of no kind": ("runs_spread", of(70.2, **of_runs(1.3, "std"))),
        "std and ci95 that do not belong together": ("spread_kind", half),
        "n is not the number of runs": (
            "runs_count",
            of(70.2, **of_runs(0.46, "std") | {"n_runs": 10}),
        ),
        "value is the best run": ("runs_mean", of(70.8, **of_runs(0.46, "std"))),
        "value outside of the runs": ("runs_mean", of(72.1, **of_runs(0.46, "std"))),
        "runs that are all equal": ("equal_runs", of(70.2, **of_runs(0.0, "std", [70.2] * 5))),
        "runs of another row": ("copied_runs", copied),
    }


def reversed_runs() -> list[float]:
    return [RUNS[i] for i in (2, 0, 1, 4, 3)]


def _of_spreads() -> dict[str, tuple[str, list[Row]]]:
    def of(value: float, spread: float, kind: str = "ci95", **columns) -> list[Row]:
        columns = {"n_runs": 10, "spread": spread, "spread_kind": kind, **columns}
        return [row("x", "loss_x", "cub", "MAP@R", value, **columns)]

    collapsed = row_of_metrics("x", "loss_x", "cub", {"MAP@R": 19.1}, category="complete")
    collapsed += row_of_metrics("o", "loss_x", "cub", {"MAP@R": 23.3}, category="aggregate")
    members = row_of_metrics("o", "loss_x", "cub", {"MAP@R": 23.3}, category="aggregate")
    ensemble = row_of_metrics("x", "loss_x", "cub", {"MAP@R": 22.1}, category="ensemble")
    singles = [
        row(f"o{dim}", "loss_x", "cub", "R@1", 66.0 + dim / 512, dim=dim) for dim in (64, 128)
    ]
    singles.append(row("x", "loss_x", "cub", "R@1", 65.7, dim=192, category="ensemble"))
    return {
        "interval of one run": ("one_run", of(24.0, 0.3, n_runs=1)),
        "spread of zero": ("zero_spread", of(24.0, 0.0)),
        "spread that no runs have": ("impossible_spread", of(24.0, 60.0, "std")),
        "spread far from its column": ("unusual_spread", of(24.0, 2.1, category="aggregate")),
        "Complete below Aggregate": ("collapse", collapsed),
        "ensemble below its members' mean": ("ensemble_below_members", ensemble + members),
        "ensemble below each member": ("ensemble_below_members", singles),
    }


def _of_documents() -> dict[str, tuple[str, list[Row]]]:
    swapped = row_of_metrics("x1", "loss_x", "cub", recalls([84.9, 90.6, 94.5]))
    swapped += row_of_metrics("x2", "loss_x", "cars", recalls([67.2, 77.4, 85.6]))
    twice = [
        row("x1", "loss_x", "cub", "R@1", 66.4),
        row("x2", "loss_x", "cub", "R@1", 67.9, table="2"),
    ]
    copied = row_of_metrics("x1", "loss_x", "cub", recalls([67.23, 77.41, 85.62]))
    copied += row_of_metrics("x2", "loss_y", "cub", recalls([67.23, 77.41, 85.62]))
    across = [
        row(f"x{method}.{dataset}", method, dataset, "R@1", value)
        for method in ("loss_x", "loss_y")
        for dataset, value in {"cub": 67.23, "cars": 85.62}.items()
    ]
    other_dataset = row_of_metrics("x1", "loss_x", "cub", {"MAP@R": 24.31, "RP": 34.27})
    other_dataset += row_of_metrics("x2", "loss_x", "cars", {"MAP@R": 24.31, "RP": 34.27})
    published = {"R@1": 69.9, "R@2": 79.6, "R@4": 86.6}  # Proxy-Anchor's README
    quote = {"trunk": "resnet50", "reported_by": "quoted"}
    return {
        "datasets swapped": ("swapped_datasets", swapped),
        "one row of another dataset": (
            "swapped_datasets",
            row_of_metrics("x", "loss_x", "cub", {"R@1": 91.2}),
        ),
        "printed twice": ("printed_twice", twice),
        "numbers of another row": ("copied_row", copied),
        "numbers of another row on all datasets": ("copied_row", across),
        "numbers of another dataset": ("copied_row", other_dataset),
        "numbers of another paper": (
            "copied_row",
            row_of_metrics("x", "loss_x", "cub", published),
        ),
        "above everything ever printed": (
            "beyond_range",
            row_of_metrics("x", "loss_x", "sop", {"R@1": 97.3}),
        ),
        "point slipped": (
            "slipped_point",
            row_of_metrics("x", "loss_x", "cub", {"MAP@R": 2.41, "RP": 3.41, "P@1": 6.62}),
        ),
        "digits of a quote changed over": (
            "outlier",
            [row("x", "proxy_anchor", "cub", "R@1", 96.9, **quote)],
        ),
        "a re-run far from the others": (
            "outlier",
            [row("x", "proxy_anchor", "cars", "R@1", 80.1, reported_by="re-run")],
        ),
    }


def write(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as a CSV file."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path
