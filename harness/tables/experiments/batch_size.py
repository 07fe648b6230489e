"""The page of `batch_size`: D-Loss, forms of PD-Loss and controls over the size of a batch.

Findings of Silva et al. 2025, arXiv 2508.17082.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.measure import intervals
from harness.schema import Problem, Record, Study
from harness.tables.experiments import _sheet
from harness.tables.figure import save
from harness.tables.page import Page
from harness.tables.statement import Statement, Verdict, joint

D_LOSS, PD_LOSS, PLAIN = "d_loss", "pd_loss", "pd_loss_no_logarithm"
SCORE = "precision_at_1"
HEAD = ("loss", "batch", "R@1", "MAP@R", "verification", "s an epoch")
Folds = Mapping[int, Sequence[Record]]  # repeat -> the records of its fold models
Number = Callable[[Record], float | None]


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The table by loss and batch, held-out R@1 over epochs as the figure, the findings judged."""
    names = [name for name in study.variants if name in records]
    folds = {name: fold_records(study, records[name]) for name in names}
    failed = {name: sum(r.failure is not None for r in records[name]) for name in names}
    rows = {form_and_batch(study, name): folds[name] for name in names}
    body = [_row(key, rows[key], failed[name]) for key, name in zip(rows, names, strict=True)]
    lines = [
        f"Test scores of {study.folds} fold models a repeat, their mean; verification: accuracy on "
        "pairs of test images, 10-fold. s an epoch: wall time of a run over its epochs, "
        "evaluations included; of use only where the study ran alone.",
        *notes,
    ]
    return _sheet.page(
        HEAD,
        body,
        caption=_sheet.caption(study, dataset, records, lines),
        statements=statements(rows),
        data={"study": study.name, "dataset": dataset, "rows": [_data(k, rows[k]) for k in rows]},
        draw=lambda path: _draw(rows, path, f"{dataset}, study {study.name}"),
    )


def fold_records(study: Study, records: Sequence[Record]) -> dict[int, list[Record]]:
    """Repeat -> its fold models' records, of repeats of which every fold has ended well."""
    by_repeat: dict[int, list[Record]] = {}
    for record in records:
        if record.stage == "repeat" and record.failure is None and record.repeat is not None:
            by_repeat.setdefault(record.repeat, []).append(record)
    whole = {n: of_repeat for n, of_repeat in by_repeat.items() if len(of_repeat) == study.folds}
    return dict(sorted(whole.items()))


def form_and_batch(study: Study, name: str) -> tuple[str, int]:
    """The loss's form, and the images of a batch of a variant."""
    fields = study.variants[name]["fields"]
    size = int(fields["classes_per_batch"] * fields["images_per_class"])
    return name.removesuffix(f"_{size}"), size


def values(folds: Folds, number: Number) -> dict[int, float]:
    """Repeat -> the mean of a number over its fold models, where all have it."""
    means = {}
    for repeat, records in folds.items():
        numbers = [value for record in records if (value := number(record)) is not None]
        if len(numbers) == len(records):
            means[repeat] = math.fsum(numbers) / len(numbers)
    return means


def seconds_an_epoch(record: Record) -> float | None:
    """Wall time of a run over the epochs that it trained."""
    epochs = sum(record.epochs_run or (0, 0))
    return record.seconds / epochs if epochs else None


def statements(rows: Mapping[tuple[str, int], Folds]) -> list[Statement]:
    """The paper's findings that the rows can judge."""
    sizes = sorted({size for _, size in rows})
    if len(sizes) < 2:
        return []
    small, large = sizes[0], sizes[-1]
    scored = {key: values(folds, _sheet.score(SCORE)) for key, folds in rows.items()}
    judged = [
        _needs_large(scored, small, large),
        _robust(scored, small, large),
        _logarithm(scored, large),
        _efficient(rows, sizes),
    ]
    return [one for one in judged if one is not None]


def _needs_large(
    scored: Mapping[tuple[str, int], Mapping[int, float]], small: int, large: int
) -> Statement | None:
    gain = _difference(scored.get((D_LOSS, large), {}), scored.get((D_LOSS, small), {}))
    if gain is None:
        return None
    return Statement(
        paper="D-Loss relies on large batches",
        here=f"its R@1 with batches of {large} minus that with {small}: {_points(gain)}",
        verdict=_verdict(gain),
        rule="above 0 by the 95 % paired t interval",
    )


def _robust(
    scored: Mapping[tuple[str, int], Mapping[int, float]], small: int, large: int
) -> Statement | None:
    keys = [(loss, size) for loss in (D_LOSS, PD_LOSS) for size in (small, large)]
    if not set(keys) <= scored.keys():
        return None
    shared = set.intersection(*(set(scored[key]) for key in keys))
    changes = {  # up or down: larger batches of as many epochs are also fewer steps
        loss: {n: abs(scored[loss, large][n] - scored[loss, small][n]) for n in shared}
        for loss in (D_LOSS, PD_LOSS)
    }
    extra = _difference(changes[D_LOSS], changes[PD_LOSS])
    if extra is None:
        return None
    return Statement(
        paper="PD-Loss depends less on the size of a batch than D-Loss",
        here=f"how much R@1 of D-Loss changes from {small} to {large}, up or down, minus how much "
        f"that of PD-Loss does: {_points(extra)}",
        verdict=_verdict(extra),
        rule="above 0 by the 95 % paired t interval",
    )


def _logarithm(
    scored: Mapping[tuple[str, int], Mapping[int, float]], large: int
) -> Statement | None:
    gain = _difference(scored.get((PD_LOSS, large), {}), scored.get((PLAIN, large), {}))
    if gain is None:
        return None
    return Statement(
        paper="PD-Loss is better with its logarithm than without (it is proposed with it; the "
        "numbers of Fig. 2 could not be read)",
        here=f"R@1 with minus without, batches of {large}: {_points(gain)}",
        verdict=_verdict(gain),
        rule="above 0 by the 95 % paired t interval",
    )


def _efficient(rows: Mapping[tuple[str, int], Folds], sizes: Sequence[int]) -> Statement | None:
    words, verdicts = [], list[Verdict]()
    for size in sizes:
        if not {(D_LOSS, size), (PD_LOSS, size)} <= rows.keys():
            return None
        d, pd = (
            {n: math.log(v) for n, v in values(rows[loss, size], seconds_an_epoch).items()}
            for loss in (D_LOSS, PD_LOSS)
        )
        difference = intervals.paired_repeats(d, pd, 1 - 0.05 / len(sizes))
        if difference is None or difference.half_width is None:
            return None
        low, high = (difference.mean + sign * difference.half_width for sign in (-1, 1))
        ratio, ends = math.exp(difference.mean), (math.exp(low), math.exp(high))
        words.append(f"{size}: {ratio:.2f} ({ends[0]:.2f} to {ends[1]:.2f})")
        verdicts.append("agrees" if low > 0 else "disagrees" if high < 0 else "undecided")
    return Statement(
        paper="PD-Loss trains faster than D-Loss",
        here=f"seconds an epoch of D-Loss over those of PD-Loss, by batch: {', '.join(words)}",
        verdict=joint(verdicts),
        rule="all ratios above 1 by paired t intervals of their logarithms, together at 95 %; one "
        "below 1 disagrees",
    )


def _difference(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float] | None:
    """Mean of a - b over shared repeats, and the half-width of its interval."""
    difference = intervals.paired_repeats(a, b)
    if difference is None or difference.half_width is None:
        return None
    return difference.mean, difference.half_width


def _verdict(difference: tuple[float, float]) -> Verdict:
    mean, half = difference
    return "agrees" if mean > half else "disagrees" if mean < -half else "undecided"


def _points(difference: tuple[float, float]) -> str:
    return f"{100 * difference[0]:+.2f} ± {100 * difference[1]:.2f} points"


def _row(key: tuple[str, int], folds: Folds, failed: int) -> list[str]:
    shares = [_sheet.score(SCORE), _sheet.score("map_at_r")]
    shares.append(_sheet.diagnostic("verification_accuracy"))
    cells = [_sheet.cell(values(folds, number)) for number in shares]
    cells[0] += f" ({failed} runs failed)" if failed else ""
    return [key[0], str(key[1]), *cells, _sheet.cell(values(folds, seconds_an_epoch), share=False)]


def _data(key: tuple[str, int], folds: Folds) -> dict[str, Any]:
    return {
        "loss": key[0],
        "batch": key[1],
        SCORE: values(folds, _sheet.score(SCORE)),
        "map_at_r": values(folds, _sheet.score("map_at_r")),
        "verification_accuracy": values(folds, _sheet.diagnostic("verification_accuracy")),
        "seconds_an_epoch": values(folds, seconds_an_epoch),
    }


def _draw(rows: Mapping[tuple[str, int], Folds], path: Path, title: str) -> None:
    """Mean held-out R@1 over epochs: a panel for each size, a line for each loss."""
    from matplotlib.figure import Figure

    sizes = sorted({size for _, size in rows})
    if not any(rows.values()):
        raise Problem("--figure: no repeat of a row has all of its fold models; run the study on")
    figure = Figure(figsize=(3.2 * len(sizes), 3.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(sizes), sharey=True))
    forms = list(dict.fromkeys(form for form, _ in rows))
    for panel, size in zip(panels, sizes, strict=True):
        for number, form in enumerate(forms):
            records = [r for of_repeat in rows.get((form, size), {}).values() for r in of_repeat]
            curves = [{e["epoch"]: e[SCORE] for e in r.curve if SCORE in e} for r in records]
            if curves:
                epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
                means = [100 * float(np.mean([curve[e] for curve in curves])) for e in epochs]
                panel.plot(epochs, means, "-" if number % 2 else "--", label=form)
        panel.set_title(f"batches of {size}", fontsize="medium")
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("held-out R@1 in %")
    panels[0].legend(fontsize="x-small", frameon=False)
    figure.suptitle(title, fontsize="medium")
    save(figure, path)
