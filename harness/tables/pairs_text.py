"""Pairs of losses and ranks over datasets as text: markdown, CSV or data, with their captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.measure.intervals import Difference
from harness.measure.multiple_comparisons import ALPHA, differs
from harness.measure.ranks import Ranks
from harness.tables import capped, markup, mean_text, rankings, search_spread
from harness.tables.metrics import AS_SHARES, IN_POINTS, Metric, metric
from harness.tables.pairs import MAX_REPEATS, POWER, Comparison, Pair

HEAD = [
    "a",
    "b",
    "a - b, paired",
    "p Holm",
    "a - b, Welch",
    "P(a > b)",
    "sd of pairs",
    "repeats for this",
    "repeats for D",
    "n",
]


FIRST = {"higher": "better", "lower": "better (lower)", "neither": "higher"}  # which loss is a


def caption(comparison: Comparison, unit: str = IN_POINTS) -> str:
    """What each number, in `unit`, is, of how many, given what; of no pair just that."""
    shown = metric(comparison.metric)
    if not comparison.pairs:
        names = ", ".join(comparison.left_out) or "none"
        text = (
            f"NO PAIR on {comparison.dataset}, study {comparison.study}: no two losses have two "
            f"repeats in common with {comparison.category} {shown.title}; losses there: {names}."
        )
        return "\n".join([text, *comparison.notes])
    text = (
        f"{comparison.dataset}, study {comparison.study}: {comparison.category} {shown.title} on "
        f"the test classes, differences{f' {unit}' if shown.share else ''}, a the "
        f"{FIRST[shown.better]} of the two means. paired: ± half-width "
        "of the 95 % t interval of the mean difference over n repeats with equal seeds, given the "
        "configurations chosen and this test set, and of fewer than "
        f"{mean_text.FEW} repeats each difference; p Holm: its paired t test, corrected over all "
        f"pairs of losses here, as in the table (*: at most {ALPHA:g}; -: no test). Welch: the "
        "same without pairing. P(a > b): share of pairs of runs in which a is ahead, a tie half, "
        "with the 95 % percentile bootstrap interval over repeats (none of fewer than "
        f"{mean_text.FEW}: it would be too narrow). sd of pairs: of the "
        f"paired differences. repeats: per loss, to find with {100 * POWER:g} % power at 5 % "
        "(paired, two-sided, not corrected) a true difference of the size found, and of "
        f"D = {_asked(comparison, unit)}, if the sd "
        f"is as here; -: no spread, or more than {MAX_REPEATS:,}. None of it holds the noise of "
        "the search."
    )
    if comparison.searches > 1:
        text += " " + search_spread.first_alone(comparison.searches)
    if comparison.left_out:
        names = ", ".join(comparison.left_out)
        text += f"\nLEFT OUT, fewer than 2 repeats in common: {names}."
    untested = [
        f"{pair.a} and {pair.b}" for pair in comparison.pairs if pair.paired.p_value is None
    ]
    if untested:
        text += f"\nNO TEST, no spread in the differences: {', '.join(untested)}."
    marked = {
        (loss, comparison.category): mean_text.survivors(n, failed)
        for loss, (n, failed) in comparison.survivors.items()
    }
    lines = mean_text.survivors_line(marked) + capped.line(comparison.capped)
    return "\n".join([text, _counts(comparison, unit), *comparison.notes, *lines])


def _asked(comparison: Comparison, unit: str) -> str:
    """D, in `unit` where the metric is a share of 1."""
    shown = metric(comparison.metric)
    if not shown.share or unit == AS_SHARES:
        return f"{comparison.difference:g}"
    return f"{shown.scale * comparison.difference:g} points"


def _counts(comparison: Comparison, unit: str) -> str:
    """How many pairs the tests tell apart, and how many differ by more than D."""
    n_tested = sum(pair.p_holm is not None for pair in comparison.pairs)
    apart = sum(differs(pair.p_holm) for pair in comparison.pairs)
    beyond = sum(abs(pair.paired.mean) > comparison.difference for pair in comparison.pairs)
    return (
        f"Pairs: {len(comparison.pairs)}; with a test: {n_tested}; told apart by it: {apart}; "
        f"further apart than D = {_asked(comparison, unit)}: {beyond}."
    )


def markdown(comparison: Comparison) -> str:
    """The pairs as a GitHub table, the caption below."""
    if not comparison.pairs:
        return caption(comparison) + "\n"
    return markup.markdown(HEAD, body_of(comparison), caption(comparison))


def body_of(comparison: Comparison) -> list[list[object]]:
    """A row for each pair, by the columns of HEAD."""
    body: list[list[object]] = []
    shown = metric(comparison.metric)
    for pair in comparison.pairs:
        chance = pair.improvement
        body.append(
            [
                _name(comparison, pair.a),
                _name(comparison, pair.b),
                _difference(pair.paired, shown) + _each(pair, shown),
                "-" if pair.p_holm is None else f"{pair.p_holm:.3g}" + " *" * differs(pair.p_holm),
                _difference(pair.welch, shown),
                f"{chance.mean:.2f}"
                + f" [{chance.low:.2f}, {chance.high:.2f}]" * (chance.n_repeats >= mean_text.FEW),
                format(shown.scale * pair.sd, shown.spec),
                pair.repeats_for_this or "-",
                pair.repeats_for_difference or "-",
                pair.paired.n,
            ]
        )
    return body


def _name(comparison: Comparison, loss: str) -> str:
    """The loss, and how many of its repeats did not fail where some did."""
    if loss not in comparison.survivors:
        return loss
    return f"{loss} ({mean_text.survivors(*comparison.survivors[loss])})"


def _difference(difference: Difference, shown: Metric) -> str:
    mean = format(shown.scale * difference.mean, f"+{shown.spec}")
    if difference.half_width is None:
        return f"{mean} (no spread)"
    return f"{mean} ± {format(shown.scale * difference.half_width, shown.spec)}"


def _each(pair: Pair, shown: Metric) -> str:
    """Each paired difference, where there are few."""
    if len(pair.differences) >= mean_text.FEW:
        return ""
    each = [format(shown.scale * value, f"+{shown.spec}") for value in pair.differences]
    return f" ({'; '.join(each)})"


def as_data(comparison: Comparison) -> list[dict[str, Any]]:
    """The pairs for machines, scores as shares of 1."""
    return [
        {
            "study": comparison.study,
            "dataset": comparison.dataset,
            "category": comparison.category,
            "metric": comparison.metric,
            "a": pair.a,
            "b": pair.b,
            "difference": pair.paired.mean,
            "paired_ci95": pair.paired.half_width,
            "n": pair.paired.n,
            "a_failed": comparison.survivors.get(pair.a, (0, 0))[1],
            "b_failed": comparison.survivors.get(pair.b, (0, 0))[1],
            "p": pair.paired.p_value,
            "p_holm": pair.p_holm,
            "welch_ci95": pair.welch.half_width,
            "welch_p": pair.welch.p_value,
            "probability_a_ahead": pair.improvement.mean,
            "probability_low": pair.improvement.low,
            "probability_high": pair.improvement.high,
            "sd_paired": pair.sd,
            "repeats_for_this": pair.repeats_for_this,
            "repeats_for_asked": pair.repeats_for_difference,
            "asked": comparison.difference,
            "differences": pair.differences,
        }
        for pair in comparison.pairs
    ]


def comma_separated(comparisons: Sequence[Comparison], ranks: str) -> str:
    """One line per pair of every dataset, shares of 1; captions and the ranks' text as comments."""
    rows = [row for comparison in comparisons for row in as_data(comparison)]
    body = [[_csv_value(value) for value in row.values()] for row in rows]
    captions = [caption(comparison, AS_SHARES) for comparison in comparisons]
    return markup.comma_separated(list(rows[0]), body, "\n".join([*captions, ranks]))


def _csv_value(value: object) -> object:
    """A cell of CSV: nothing for None, one text for several numbers."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return "" if value is None else value


def ranks_as_data(ranks: Ranks) -> list[dict[str, Any]]:
    """Average ranks for machines."""
    return [
        {"loss": loss, "average_rank": rank, "datasets": ranks.n_datasets}
        for loss, rank in ranks.ranks.items()
    ]


def ranks_caption(
    ranks: Ranks,
    studies: Sequence[str],
    *,
    category: str,
    metric_name: str,
    survivors: Mapping[str, str],
    lacking: Mapping[str, Sequence[str]],
) -> str:
    """What the ranks are of, and which groups they do not tell apart.

    `survivors` are the losses left out because some repeats failed, with where and how many;
    `lacking` those without any score on some datasets, with these.
    """
    groups = [" = ".join(group) for group in ranks.groups if len(group) > 1]
    over, more = rankings.over(studies), ""
    names = f"Study {studies[0]}"
    if len(studies) > 1:
        names, more = f"Studies {', '.join(studies)}", ", each of a dataset under a study"
    text = (
        f"{names}: average rank of the mean {category} {metric(metric_name).title} over "
        f"{ranks.n_datasets} {over}{more} (1 is best, ties averaged). Friedman's test of no "
        f"difference at all: p = {ranks.p_value:.3g}. Nemenyi's critical difference at "
        f"{ranks.alpha:g}: {ranks.critical_difference:.2f}; not told apart: "
        f"{'; '.join(groups) or 'none'}. The {over} are what the ranks vary over; the repeats' "
        "noise only enters through the means."
    )
    if lacking:
        listed = ", ".join(f"{loss} (on {', '.join(names)})" for loss, names in lacking.items())
        text += f"\nNO RANK, without a score somewhere: {listed}."
    if survivors:
        listed = ", ".join(f"{loss} ({where})" for loss, where in survivors.items())
        text += f"\nSURVIVORS: {listed}; the other repeats failed, so these losses have no rank."
    return text
