"""What a column of a table can be of: a score or a diagnostic, how printed, and what is better."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.schema import DIAGNOSTICS, Better, Problem, Record, meant

DEFAULT = ("map_at_r", "r_precision", "precision_at_1")
TITLES = {"map_at_r": "MAP@R", "r_precision": "RP", "precision_at_1": "P@1"}
IN_PERCENT, IN_POINTS = "in %", "in points"  # how text has scores, and differences of them
AS_SHARES = "as shares of 1"  # how CSV and JSON have both
RECALL = re.compile(r"recall_at_[1-9]\d*")


@dataclass(frozen=True)
class Metric:
    """A score or a diagnostic by its name in records. `share`: a share of 1, printed in %."""

    name: str
    title: str
    better: Better = "higher"
    share: bool = True

    @property
    def scale(self) -> int:
        """What its values are multiplied by to be printed."""
        return 100 if self.share else 1

    @property
    def spec(self) -> str:
        """How a printed value is formatted."""
        return ".2f" if self.share else ".3f"

    @property
    def sign(self) -> int:
        """1, or -1 where lower values are better: then the best is the highest of minus them."""
        return -1 if self.better == "lower" else 1

    def of(self, record: Record) -> float | None:
        """The record's value; None where it has none."""
        value = record.scores.get(self.name)
        return (record.diagnostics or {}).get(self.name) if value is None else value


def metric(name: str) -> Metric:
    """The metric of a name in records; Problem with the known ones if there is none."""
    if name in TITLES:
        return Metric(name, TITLES[name])
    if RECALL.fullmatch(name):
        return Metric(name, name.replace("recall_at_", "R@"))
    if name in DIAGNOSTICS:
        one = DIAGNOSTICS[name]
        return Metric(name, one.title, one.better, one.share)
    names = [*TITLES, *DIAGNOSTICS]
    raise Problem(f"no metric {name!r};{meant(name, names)} known: {', '.join(names)}, recall_at_K")


def metrics(names: Iterable[str] | None = None) -> tuple[Metric, ...]:
    """The metrics of the names, each once; those of every table without names."""
    return tuple(metric(name) for name in dict.fromkeys(DEFAULT if names is None else names))
