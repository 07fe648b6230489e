"""Published numbers as data: one Claim each. `claims_file` reads them."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from harness.measure.intervals import Interval, summary
from harness.schema import UNTRAINED as OUR_UNTRAINED

METRICS = {
    "MAP@R": "map_at_r",
    "RP": "r_precision",
    "P@1": "precision_at_1",
    "NMI": "nmi",
    "F1": "f1",
    "AvgDTP": "avg_dtp",
    "verification_accuracy": "verification_accuracy",
}  # printed name -> name in our records; also R@K -> recall_at_K
UNBOUNDED = {"AvgDTP"}
DATASETS = {
    **dict.fromkeys(("cub", "cub200", "cub2002011"), "cub"),
    **dict.fromkeys(("cars", "cars196"), "cars"),
    **dict.fromkeys(("sop", "stanfordonlineproducts"), "sop"),
    **dict.fromkeys(("inshop", "inshopclothes"), "inshop"),
}  # letters and digits of a printed name, in lower case -> our name
# Trunks as they are: nothing was trained, so neither order nor range of trained ones holds.
UNTRAINED = {OUR_UNTRAINED, "pretrained_imagenet"}
ROUNDING = 1e-9  # differences of printed numbers up to this are floating-point noise


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One printed number and the settings it was obtained under; an unknown setting is "unknown".

    `value` and `spread` are in the unit of the metric: percent, except for AvgDTP. `runs` are the
    single runs where a source prints them. `line` is the line of the file that holds the claim.
    """

    claim_id: str
    paper: str
    method: str
    dataset: str
    metric: str
    value: float
    paper_year: str = ""
    arxiv: str = ""
    table: str = ""
    spread: float | None = None
    spread_kind: str = "none"
    n_runs: int | None = None
    runs: tuple[float, ...] = ()
    trunk: str = "unknown"
    dim: int | None = None
    category: str = "single"
    crop: str = "unknown"
    pretrained: str = "unknown"
    tuned_on: str = "unknown"
    bn_frozen: str = "unknown"
    pooling: str = "unknown"
    extra_components: str = ""
    reported_by: str = "unknown"
    quoted_from: str = ""
    evidence: str = "unknown"
    source: str = ""
    line: int = 0

    @property
    def cell(self) -> tuple[str, str, str]:
        """The column that the number stands in: dataset, category, metric."""
        return self.dataset, self.category, self.metric

    @property
    def score(self) -> str:
        """The metric's name in our records."""
        return score_name(self.metric)

    @property
    def interval(self) -> Interval | None:
        """The 95 % t interval of the printed spread; None without a spread over n >= 2 runs."""
        if self.spread is None or self.n_runs is None or self.n_runs < 2:
            return None
        if self.spread_kind == "std":
            return summary(self.value, self.spread, self.n_runs)
        if self.spread_kind == "ci95":
            return Interval(self.value, self.spread, self.n_runs)
        return None

    @property
    def row(self) -> tuple[object, ...]:
        """What the numbers of one printed row on one dataset share."""
        return (*self.row_of_all_datasets, self.dataset)

    @property
    def row_of_all_datasets(self) -> tuple[object, ...]:
        """What the numbers of one printed row share where a row spans several datasets."""
        return (self.paper, self.table, *self.method_settings)

    @property
    def method_settings(self) -> tuple[object, ...]:
        """The method and the settings that its numbers were obtained under."""
        return (
            self.method,
            self.category,
            self.trunk,
            self.dim,
            self.crop,
            self.tuned_on,
            self.extra_components,
            self.reported_by,
        )

    @property
    def printed(self) -> str:
        """The number as a table prints it, with the kind of its spread and the number of runs."""
        if self.spread is None:
            return f"{self.value:g}"
        of = f", n = {self.n_runs}" if self.n_runs else ", n not stated"
        return f"{self.value:g} ± {self.spread:g} ({self.spread_kind}{of})"


COLUMNS = tuple(f.name for f in dataclasses.fields(Claim) if f.name != "line")
NOT_IDENTIFYING = ("claim_id", "value", "spread", "runs", "source")
IDENTIFYING = tuple(column for column in COLUMNS if column not in NOT_IDENTIFYING)


def score_name(metric: str) -> str:
    """Our records' name of a printed metric: MAP@R -> map_at_r, R@4 -> recall_at_4."""
    return METRICS.get(metric, "") or f"recall_at_{metric.removeprefix('R@')}"


def printed_name(metric: str) -> str | None:
    """The printed name of a metric given by either name; None if it is unknown."""
    by_score = {score: name for name, score in METRICS.items()}
    recall = re.fullmatch(r"(?:R@|recall_at_)([1-9]\d*)", metric)
    if recall:
        return f"R@{recall[1]}"
    return metric if metric in METRICS else by_score.get(metric)


def dataset_name(printed: str) -> str:
    """Our name of a dataset that is printed as CUB-200-2011 or CARS196; others as they are."""
    return DATASETS.get(re.sub(r"[^a-z0-9]", "", printed.lower()), printed)


def decimals(value: float) -> int:
    """How many decimals a number shows, without zeros at its end."""
    return len(f"{value:.10g}".partition(".")[2])


def half_digit(value: float) -> float:
    """Half a unit of a printed number's last decimal; of its first if it shows none."""
    return 0.5 * 10.0 ** -max(decimals(value), 1) + ROUNDING


def rows_of(claims: Iterable[Claim]) -> dict[tuple[object, ...], dict[str, Claim]]:
    """The printed rows of claims on one dataset each: row -> metric -> claim."""
    rows: dict[tuple[object, ...], dict[str, Claim]] = defaultdict(dict)
    for claim in claims:
        rows[claim.row][claim.metric] = claim
    return rows
