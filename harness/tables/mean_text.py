"""A mean over repeats as text: with its interval, or with each repeat where there are few.

An interval over 2 repeats is some 9 standard deviations wide on either side: honest, and of no
use to a reader. The repeats themselves say more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from harness.measure import intervals
from harness.measure.power import repeats_for_half_width

FEW = 5  # below so many repeats each is shown
HALF_WIDTH = 0.01  # the half-width, in shares of 1, for which captions say how many are needed
LISTED = 8  # losses that a caption lists one by one
FEW_REPEATS = (
    f"Of fewer than {FEW} repeats, each stands in brackets in place of an interval, which over so "
    "few is too wide to be of use; CSV and JSON hold it."
)


def survivors(n: int, failed: int) -> str:
    """`2 of 3` for a mean of 2 repeats of which a third failed; nothing where none failed."""
    return f"{n} of {n + failed}" if failed else ""


def parts(
    values: Sequence[float],
    *,
    failed: int = 0,
    sign: str = "±",
    spec: str = ".2f",
    scale: int = 100,
) -> tuple[str, str]:
    """A mean of repeats (shares of 1) in %, and what stands in brackets behind it ("" if nothing).

    `failed` more repeats have no value, which is always said. `spec` formats a number, after it was
    multiplied by `scale`: 1 for what is no share of 1.
    """
    count = survivors(len(values), failed)
    if not values:
        return "-", f"({count})" if count else ""
    mean = format(scale * math.fsum(values) / len(values), spec)
    if len(values) == 1:
        return mean, f"({count or 'n = 1'})"
    if len(values) < FEW:
        listed = "; ".join(format(scale * value, spec) for value in values)
        return mean, f"({count}: {listed})" if count else f"({listed})"
    interval = intervals.t_interval(values)
    if intervals.without_spread(interval.standard_error, abs(interval.mean)):
        return mean, f"({count}, no spread)" if count else "(no spread)"
    half_width = format(scale * interval.half_width, spec.removeprefix("+"))
    return f"{mean} {sign} {half_width}", f"({count})" if count else ""


def text(values: Sequence[float], *, failed: int = 0, spec: str = ".2f", scale: int = 100) -> str:
    """The mean and what stands behind it as plain text."""
    return " ".join(part for part in parts(values, failed=failed, spec=spec, scale=scale) if part)


def in_order(scores: Mapping[int, float]) -> list[float]:
    """The scores in the order of their repeats."""
    return [scores[repeat] for repeat in sorted(scores)]


def repeats_needed(values: Sequence[float]) -> int | None:
    """Repeats for an interval of +- HALF_WIDTH, if the spread is that of `values`; None unknown."""
    if len(values) < 2:
        return None
    interval = intervals.t_interval(values)
    if intervals.without_spread(interval.standard_error, abs(interval.mean)):
        return None
    return repeats_for_half_width(HALF_WIDTH, interval.std)


def needed_line(values_of: Mapping[str, Iterable[Sequence[float]]], what: str) -> list[str]:
    """The caption's line on few repeats: by loss the most that any of its columns needs.

    `values_of` maps a loss to the values of its columns, which `what` names. No line where every
    column has FEW repeats or more.
    """
    columns = {loss: [v for v in of_loss if v] for loss, of_loss in values_of.items()}
    if not any(len(values) < FEW for of_loss in columns.values() for values in of_loss):
        return []
    most = {
        loss: max(counts)
        for loss, of_loss in columns.items()
        if (counts := [n for values in of_loss if (n := repeats_needed(values)) is not None])
    }
    if not most:
        return [FEW_REPEATS]
    if len(most) <= LISTED:
        numbers = ", ".join(f"{loss} {n}" for loss, n in most.items())
    else:
        low, high = min(most, key=most.__getitem__), max(most, key=most.__getitem__)
        numbers = f"between {most[low]} ({low}) and {most[high]} ({high}) a loss"
    return [
        f"{FEW_REPEATS} Repeats needed for ± {100 * HALF_WIDTH:g} point in {what}, if the spread "
        f"is as here (few repeats say little of it): {numbers}."
    ]


def survivors_line(marked: Mapping[tuple[str, str], str]) -> list[str]:
    """The caption's warning of means of survivors, from (loss, category) -> `2 of 3`."""
    if not marked:
        return []
    listed = ", ".join(f"{loss} {category} {count}" for (loss, category), count in marked.items())
    return [
        f"SURVIVORS: {listed} repeats; the others failed. The mean of the rest cannot be compared: "
        "it is never bold, in no test and no group."
    ]
