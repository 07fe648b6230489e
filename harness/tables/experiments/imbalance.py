"""The page of `imbalance`: what long-tailed training classes cost each loss, and where.

Expectations of a review of Movshovitz-Attias et al. 2017 (arXiv 1703.07464), which no paper here
measures: proxies are biased towards classes with many images, and center loss is worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.measure import intervals
from harness.schema import SEEN, Problem, Record, Study
from harness.tables.experiments import _sheet
from harness.tables.experiments._sheet import Runs
from harness.tables.figure import save
from harness.tables.page import Page
from harness.tables.statement import Statement, Verdict, by_interval, joint

BALANCED = "_balanced"  # ends the name of a loss on the balanced set
PROXIES = ("proxy_nca", "proxy_anchor", "normalized_softmax")
PAIRS = ("contrastive", "multi_similarity", "triplet")
PROXY_NCA, CENTER = "proxy_nca", "center"
TEST = _sheet.score("map_at_r")
MANY, MEDIUM, FEW = (_sheet.diagnostic(name) for name in SEEN)
COLUMNS = {"test classes": TEST, "many images": MANY, "medium": MEDIUM, "few images": FEW}
ByRepeat = dict[int, float]
LEVEL = 0.95


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table by loss and set, the costs as the figure, the review's expectations judged."""
    names = [name for name in study.losses if name in records]
    runs = {name: _sheet.complete_runs(study, records[name]) for name in names}
    assert study.class_images is not None
    fewest, most = study.class_images
    body = [
        [
            name.removesuffix(BALANCED),
            "balanced" if name.endswith(BALANCED) else "long tail",
            *(_sheet.cell(of.values(column), len(of.failed)) for column in COLUMNS.values()),
        ]
        for name, of in sorted(runs.items(), key=lambda one: _place(study, one[0]))
    ]
    lines = [
        f"MAP@R of Complete runs. long tail: {most} training images of the largest class down to "
        f"{fewest} of the smallest, which is which drawn for each repeat. balanced: about as many "
        "in all, the same number of every class.",
        f"many, medium, few images: thirds of the training classes by their place in the long tail "
        f"(the same classes in both sets), on {study.seen_class_images} images of each class that "
        "no training saw, searched among those of all training classes.",
        *notes,
    ]
    data: list[dict[str, object]] = [
        {
            "loss": name,
            "failed": dict(of.failed),
            **{title: of.values(column) for title, column in COLUMNS.items()},
        }
        for name, of in runs.items()
    ]
    return _sheet.page(
        ["loss", "training images", *COLUMNS],
        body,
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(runs),
        data={"study": study.name, "dataset": dataset, "rows": data},
        draw=lambda path: _draw(runs, path, f"{dataset}, study {study.name}"),
    )


def _place(study: Study, name: str) -> tuple[int, bool]:
    """A loss's two rows one after the other, in the order of the study."""
    return study.losses.index(name.removesuffix(BALANCED)), name.endswith(BALANCED)


def costs(runs: Mapping[str, Runs]) -> dict[str, dict[str, ByRepeat]]:
    """Loss -> column -> repeat -> MAP@R on the balanced set minus on the long tail."""
    found: dict[str, dict[str, ByRepeat]] = {}
    for name, tail in runs.items():
        even = runs.get(name + BALANCED)
        if even is not None:
            found[name] = {
                title: _minus(even.values(column), tail.values(column))
                for title, column in COLUMNS.items()
            }
    return found


def statements(runs: Mapping[str, Runs]) -> list[Statement]:
    """What the review expects, as far as the records can judge it."""
    of_loss = costs(runs)
    biases = {
        name: _minus(cost["few images"], cost["many images"]) for name, cost in of_loss.items()
    }
    judged = [
        _biased(biases),
        _more_than_pairs(biases),
        _unseen(of_loss),
        _center_is_worse(runs),
    ]
    return [one for one in judged if one is not None]


def _biased(biases: Mapping[str, ByRepeat]) -> Statement | None:
    """Whether the long tail costs classes with few images more than those with many."""
    judged = _judge({name: biases[name] for name in PROXIES if name in biases})
    if judged is None:
        return None
    return Statement(
        paper="learned proxies are biased towards classes with many images",
        here="what the long tail costs classes with few images, minus what it costs those with "
        f"many, in points of MAP@R: {judged[0]}",
        verdict=judged[1],
        rule="above 0 for every proxy loss by its paired t interval, together at 95 %; one below 0 "
        "disagrees",
    )


def _more_than_pairs(biases: Mapping[str, ByRepeat]) -> Statement | None:
    """Whether the bias of the proxy losses is larger than that of the pair losses."""
    kinds = [[biases[n] for n in names if n in biases] for names in (PROXIES, PAIRS)]
    if not all(kinds):
        return None
    proxies, pairs = (_mean(kind) for kind in kinds)
    judged = _judge(
        {"mean of the proxy losses minus mean of the pair losses": _minus(proxies, pairs)}
    )
    if judged is None:
        return None
    return Statement(
        paper="that bias is one of learned proxies",
        here=f"the same cost, in points: {judged[0]}",
        verdict=judged[1],
        rule="above 0 by the 95 % t interval over repeats",
    )


def _unseen(of_loss: Mapping[str, Mapping[str, ByRepeat]]) -> Statement | None:
    """Whether the long tail costs retrieval of test classes."""
    judged = _judge({name: cost["test classes"] for name, cost in of_loss.items()})
    if judged is None:
        return None
    return Statement(
        paper="imbalanced training sets, which papers leave out, matter",
        here="balanced minus long tail on the test classes, in points of MAP@R: " + judged[0],
        verdict=judged[1],
        rule="above 0 for every loss by its paired t interval, together at 95 %; one below 0 "
        "disagrees",
    )


def _center_is_worse(runs: Mapping[str, Runs]) -> Statement | None:
    """Whether center loss learns a worse embedding than Proxy-NCA, on the balanced set."""
    names = (PROXY_NCA + BALANCED, CENTER + BALANCED)
    if not set(names) <= runs.keys():
        return None
    proxy, center = (runs[name].values(TEST) for name in names)
    judged = _judge({"proxy_nca minus center": _minus(proxy, center)})
    if judged is None:
        return None
    return Statement(
        paper="center loss, which Proxy-NCA should have been compared with, learns an inferior "
        "embedding",
        here=f"MAP@R on the test classes, balanced set, in points: {judged[0]}",
        verdict=judged[1],
        rule="above 0 by the 95 % paired t interval",
    )


def _judge(differences: Mapping[str, ByRepeat]) -> tuple[str, Verdict] | None:
    """Each difference with its interval, in points, and the verdict on all being above 0."""
    if not differences or min(len(values) for values in differences.values()) < 2:
        return None
    words, verdicts = [], list[Verdict]()
    for name, values in differences.items():
        interval = intervals.t_interval(list(values.values()), 1 - (1 - LEVEL) / len(differences))
        mean, half = interval.mean, interval.half_width
        words.append(f"{name} {100 * mean:+.2f} ± {100 * half:.2f}")
        verdicts.append(by_interval(mean - half, mean + half))
    return ", ".join(words), joint(verdicts)


def _minus(first: Mapping[int, float], second: Mapping[int, float]) -> ByRepeat:
    """Repeat -> difference, of the repeats that both have."""
    return {
        repeat: first[repeat] - second[repeat] for repeat in sorted(first.keys() & second.keys())
    }


def _mean(several: Sequence[ByRepeat]) -> ByRepeat:
    """Repeat -> mean, of the repeats that all have."""
    shared = sorted(set.intersection(*(set(one) for one in several)))
    return {repeat: float(np.mean([one[repeat] for one in several])) for repeat in shared}


def _draw(runs: Mapping[str, Runs], path: Path, title: str) -> None:
    """What the long tail costs, by loss: a bar for the test classes and one for each third."""
    from matplotlib.figure import Figure

    of_loss = {name: cost for name, cost in costs(runs).items() if all(cost.values())}
    if not of_loss:
        raise Problem("--figure: no loss has runs on both sets yet; run the study on")
    figure = Figure(figsize=(max(6.0, 1.3 * len(of_loss)), 4.2), layout="constrained")
    panel = figure.subplots()
    places, width = np.arange(len(of_loss)), 0.8 / len(COLUMNS)
    hatches = ("", "//", "..", "xx")
    for number, (column, hatch) in enumerate(zip(COLUMNS, hatches, strict=True)):
        lists = [list(cost[column].values()) for cost in of_loss.values()]
        halves = [intervals.t_interval(v).half_width if len(v) > 1 else 0.0 for v in lists]
        panel.bar(
            places + (number - 1.5) * width,
            [100 * float(np.mean(values)) for values in lists],
            width,
            yerr=[100 * half for half in halves],
            hatch=hatch,
            capsize=2,
            edgecolor="white",
            label=column,
        )
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xticks(places, list(of_loss), rotation=20, ha="right")
    panel.set_ylabel("balanced minus long tail,\npoints of MAP@R")
    panel.set_title(f"{title}: what a long tail costs (95 % intervals)", fontsize="medium")
    panel.legend(fontsize="small", frameon=False, ncols=len(COLUMNS))
    panel.grid(axis="y", alpha=0.3)
    save(figure, path)
