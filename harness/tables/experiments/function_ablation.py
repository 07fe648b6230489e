"""The page of `function_ablation`: what each function of distance does to the embedding space.

Findings of DeMoor and Prevost 2024, arXiv 2408.15656, section IV-E, Table III and Fig. 9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.measure import intervals
from harness.schema import Record, Study
from harness.tables.experiments import _dtp_figure, _sheet
from harness.tables.experiments._sheet import Runs
from harness.tables.page import Page
from harness.tables.statement import Statement, Verdict, joint

PLAIN = "identity"  # f(t) = t, the Euclidean softmax
CONVEX = ("t_log", "power_3_2", "square")
CONCAVE = ("square_root", "logarithm", "saturating")
OUTWARD = ("outward", "outward_strong")
INWARD = ("inward", "inward_strong")
WARP = "warp"
FAILED = "failed"
R_AT_1, DTP = _sheet.score("precision_at_1"), _sheet.at_the_end("avg_dtp")
HEAD = ("function", "R@1", "MAP@R", "NMI", "AvgDTP at the end", "AvgDTP end / first", FAILED)
LEVEL = 0.95


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table by function, DTP over the run as the figure, the paper's findings judged."""
    names = [name for name in study.variants if name in records]
    runs = {name: _sheet.complete_runs(study, records[name]) for name in names}
    lines = [
        "AvgDTP: mean distance of training images to their class's proxy. end / first: its last "
        "value over its first in the run. Test classes are scored once, after the last epoch.",
        *notes,
    ]
    return _sheet.page(
        HEAD,
        [_row(name, runs[name]) for name in names],
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(study, runs),
        data={"study": study.name, "dataset": dataset, "rows": [_data(n, runs[n]) for n in names]},
        draw=lambda path: _draw(runs, path, f"{dataset}, study {study.name}"),
    )


def statements(study: Study, runs: Mapping[str, Runs]) -> list[Statement]:
    """The paper's findings that the records can judge: those whose rows all have two repeats."""
    judged = [
        _dtp_order(runs, CONVEX, above=True),
        _dtp_order(runs, CONCAVE, above=False),
        _dtp_order(runs, INWARD, above=False),
        _flies_off(runs),
        _plain_is_best(runs),
        _warp_is_better(runs),
        _slopes(study, runs),
    ]
    return [one for one in judged if one is not None]


def growth(record: Record) -> float | None:
    """The last AvgDTP of a run over its first."""
    values = [entry["avg_dtp"] for entry in record.curve if "avg_dtp" in entry]
    return values[-1] / values[0] if len(values) > 1 and values[0] else None


def _row(name: str, runs: Runs) -> list[str]:
    failed = len(runs.failed)
    return [
        name,
        _sheet.cell(runs.values(R_AT_1), failed),
        _sheet.cell(runs.values(_sheet.score("map_at_r")), failed),
        _sheet.cell(runs.values(_sheet.diagnostic("nmi")), failed),
        _sheet.cell(runs.values(DTP), failed, share=False),
        _sheet.cell(runs.values(growth), failed, share=False),
        str(failed or ""),
    ]


def _data(name: str, runs: Runs) -> dict[str, object]:
    return {
        "function": name,
        "precision_at_1": runs.values(R_AT_1),
        "map_at_r": runs.values(_sheet.score("map_at_r")),
        "nmi": runs.values(_sheet.diagnostic("nmi")),
        "avg_dtp": runs.values(DTP),
        "avg_dtp_growth": runs.values(growth),
        "failed": dict(runs.failed),
    }


def _difference(
    a: Mapping[int, float], b: Mapping[int, float], level: float
) -> tuple[float, float, float] | None:
    """Mean of a - b over shared repeats with its interval; None with fewer than two of them."""
    difference = intervals.paired_repeats(a, b, level)
    if difference is None or difference.half_width is None:
        return None
    half = difference.half_width
    return difference.mean, difference.mean - half, difference.mean + half


def _compare(
    runs: Mapping[str, Runs], names: Sequence[str], column: _sheet.Column, *, above: bool
) -> tuple[list[str], list[Verdict]] | None:
    """Each name's difference to the plain softmax in words, and whether it has the sign."""
    if not {PLAIN, *names} <= runs.keys():
        return None
    level = 1 - (1 - LEVEL) / len(names)  # Bonferroni: a single wrong one would decide for all
    plain, words, verdicts = runs[PLAIN].values(column), [], list[Verdict]()
    scale = 100 if column is R_AT_1 else 1
    for name in names:
        interval = _difference(runs[name].values(column), plain, level)
        if interval is None:
            return None
        mean, low, high = interval
        words.append(f"{name} {scale * mean:+.2f} ± {scale * (high - mean):.2f}")
        wanted, unwanted = (low > 0, high < 0) if above else (high < 0, low > 0)
        verdicts.append("agrees" if wanted else "disagrees" if unwanted else "undecided")
    return words, verdicts


def _dtp_order(runs: Mapping[str, Runs], names: Sequence[str], *, above: bool) -> Statement | None:
    compared = _compare(runs, names, DTP, above=above)
    if compared is None:
        return None
    kind = {CONVEX: "convex functions", CONCAVE: "concave functions", INWARD: "inward half-warps"}
    end = "higher" if above else "lower"
    return Statement(
        paper=f"{kind[tuple(names)]} end with a {end} AvgDTP than f(t) = t",
        here=f"differences of AvgDTP to f(t) = t: {', '.join(compared[0])}",
        verdict=joint(compared[1]),
        rule=f"all differences {'above' if above else 'below'} 0 by their paired t intervals, "
        f"together at {100 * LEVEL:g} %; one on the other side disagrees",
    )


def _flies_off(runs: Mapping[str, Runs]) -> Statement | None:
    """Outward half-warps: DTP grows until it fails, or through the whole run."""
    if not {PLAIN, *OUTWARD} <= runs.keys():
        return None
    plain = runs[PLAIN].values(growth)
    words, verdicts = [], list[Verdict]()
    for name in OUTWARD:
        of_name = runs[name]
        grown = of_name.values(growth)
        if of_name.failed and not of_name.done:
            words.append(f"{name} failed in all {len(of_name.failed)} repeats")
            verdicts.append("agrees")
            continue
        logs = {repeat: math.log(value) for repeat, value in grown.items()}
        interval = _difference(logs, {r: math.log(v) for r, v in plain.items()}, LEVEL)
        if interval is None:
            return None
        mean, low, high = interval
        least = min(grown.values())
        words.append(
            f"{name} ends at {math.fsum(grown.values()) / len(grown):.2f} times its first AvgDTP, "
            f"{math.exp(mean):.2f} ({math.exp(low):.2f} to {math.exp(high):.2f}) times the growth "
            "of f(t) = t"
        )
        decided: Verdict = "disagrees" if high < 0 else "undecided"
        verdicts.append("agrees" if low > 0 and least > 1 else decided)
    return Statement(
        paper="with outward half-warps embeddings fly off until numbers fail",
        here="; ".join(words),
        verdict=joint(verdicts),
        rule="every repeat failed, or AvgDTP grew in every repeat and by more than with f(t) = t "
        "(95 % paired t interval of the log ratio above 0); an interval below 0 disagrees",
    )


def _plain_is_best(runs: Mapping[str, Runs]) -> Statement | None:
    compared = _compare(runs, (*CONVEX, *CONCAVE), R_AT_1, above=False)
    if compared is None:
        return None
    return Statement(
        paper="f(t) = t has the best R@1 of the functions without a warp",
        here=f"differences of R@1 to it, in points: {', '.join(compared[0])}",
        verdict=joint(compared[1]),
        rule="all differences below 0 by their paired t intervals, together at 95 %; one above 0 "
        "disagrees",
    )


def _warp_is_better(runs: Mapping[str, Runs]) -> Statement | None:
    compared = _compare(runs, (WARP,), R_AT_1, above=True)
    if compared is None:
        return None
    return Statement(
        paper="the full warp has a better R@1 than f(t) = t, 64.6 against 63.2 on CUB",
        here=f"difference in points: {compared[0][0]}",
        verdict=compared[1][0],
        rule="above 0 by its 95 % paired t interval",
    )


def _slopes(study: Study, runs: Mapping[str, Runs]) -> Statement | None:
    """The correlation of the slopes with DTP over the warps, one for each repeat."""
    from scipy.stats import spearmanr

    order = (*OUTWARD, PLAIN, WARP, *INWARD)
    if not set(order) <= runs.keys():
        return None
    warps = {name: study.variants[name]["params"] for name in order if name != PLAIN}
    slopes = {PLAIN: 1.0, WARP: (warps[WARP]["k1"] + warps[WARP]["k2"]) / 2}
    slopes |= {name: warps[name]["k1"] for name in OUTWARD}
    slopes |= {name: warps[name]["k2"] for name in INWARD}
    columns = {name: runs[name].values(DTP) for name in order}
    shared = sorted(set.intersection(*(set(values) for values in columns.values())))
    if len(shared) < 2:
        return None
    coefficients = [
        float(spearmanr([slopes[n] for n in order], [columns[n][r] for n in order]).statistic)
        for r in shared
    ]
    interval = intervals.t_interval(coefficients)
    low, high = interval.mean - interval.half_width, interval.mean + interval.half_width
    return Statement(
        paper="slopes below 1 go with a high AvgDTP and slopes above 1 with a low one",
        here="rank correlation of the slope (of the full warp the mean of both) with AvgDTP over "
        f"{len(order)} rows: {interval.mean:+.2f} ± {interval.half_width:.2f}",
        verdict="agrees" if high < 0 else "disagrees" if low > 0 else "undecided",
        rule="Spearman's coefficient of each repeat; their 95 % t interval below 0",
    )


def _draw(runs: Mapping[str, Runs], path: Path, title: str) -> None:
    functions = [n for n in runs if n in (PLAIN, *CONVEX, *CONCAVE)]
    warps = [n for n in runs if n in (PLAIN, WARP, *OUTWARD, *INWARD)]
    _dtp_figure.draw(
        {
            "functions": {name: runs[name] for name in functions},
            "warps": {name: runs[name] for name in warps},
        },
        path,
        title,
    )
