"""What a paper found, what the records say, and the verdict, as one sentence by stated rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.measure import intervals

Verdict = Literal["agrees", "disagrees", "undecided"]
VERDICTS: tuple[Verdict, ...] = ("agrees", "disagrees", "undecided")


@dataclass(frozen=True)
class Statement:
    """One finding of a paper beside what came of it here.

    `paper` and `here` are clauses without a full stop; `rule` says what decides between the three
    verdicts, so that a reader can judge it.
    """

    paper: str
    here: str
    verdict: Verdict
    rule: str

    @property
    def sentence(self) -> str:
        """Both clauses and the verdict."""
        return f"The paper: {self.paper}. Here: {self.here}: {self.verdict}."


def by_interval(low: float, high: float) -> Verdict:
    """The verdict on "this quantity is above 0" from its interval."""
    if low > 0:
        return "agrees"
    return "disagrees" if high < 0 else "undecided"


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[str, Verdict]:
    """A minus B by repeat, shares of 1: in points with its interval, and whether it is above 0."""
    difference = intervals.paired_repeats(a, b)
    if difference is None or difference.half_width is None:
        return "not known", "undecided"
    mean, half = difference.mean, difference.half_width
    return f"{100 * mean:+.2f} ± {100 * half:.2f}", by_interval(mean - half, mean + half)


def joint(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a finding of several parts: if none disagrees, all of them must agree."""
    if "disagrees" in verdicts:
        return "disagrees"
    return "agrees" if verdicts and set(verdicts) == {"agrees"} else "undecided"


def lines(statements: Sequence[Statement]) -> list[str]:
    """How many statements there are of each verdict, then the sentences, each with its rule."""
    return [
        _total(statements),
        *(f"{n}. {one.sentence} (Rule: {one.rule}.)" for n, one in enumerate(statements, start=1)),
    ]


def answer(statements: Sequence[Statement]) -> list[str]:
    """As `lines`, without the rules."""
    numbered = enumerate(statements, start=1)
    return [_total(statements), *(f"{n}. {one.sentence}" for n, one in numbered)]


def _total(statements: Sequence[Statement]) -> str:
    """How many statements there are of each verdict."""
    counts = Counter(one.verdict for one in statements)
    of_each = ", ".join(
        _counted(counts[verdict], verdict) for verdict in VERDICTS if counts[verdict]
    )
    return f"Of {len(statements)} findings of the paper: {of_each or 'none can be judged yet'}."


def _counted(n: int, verdict: Verdict) -> str:
    if verdict == "undecided":
        return f"{n} {'is' if n == 1 else 'are'} undecided"
    return f"{n} {verdict if n == 1 else verdict.removesuffix('s')}"


def as_data(statements: Sequence[Statement]) -> list[dict[str, str]]:
    """The statements for a page's data."""
    return [
        {"paper": one.paper, "here": one.here, "verdict": one.verdict, "rule": one.rule}
        for one in statements
    ]
