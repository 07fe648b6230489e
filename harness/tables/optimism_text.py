"""The table of the study `optimism` as text: caption, markdown, LaTeX, CSV or data. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.measure.optimism import HONEST, QUANTITIES, RULES, TUNED, Rule
from harness.tables import markup, origins
from harness.tables.metrics import AS_SHARES, IN_POINTS
from harness.tables.optimism import DRAWS, HALVINGS, SIZES, Row, Table, sizes_of
from harness.tables.table_caption import network_of, warnings

HEAD = (
    "loss",
    "k",
    "honest on B",
    "test-tuned on A",
    "test-tuned on B",
    "optimism",
    "gain",
    "total",
)
RULES_HEAD = ("loss", "k", "params by", "epoch by", "on A", "on B", "on A - on B", "gain on B")
NAMES = {"held_out": "held-out", "test": "test (A)", "last": "the last"}


def caption(table: Table, unit: str = IN_POINTS) -> str:
    """What the columns, in `unit`, are; what their intervals are over; what the numbers are not."""
    study = table.study
    classes = sorted({row.n_classes for row in table.rows if row.n_classes})
    images = study.pool_images_per_class
    lines = [
        f"{table.dataset}, study {study.name}: what choosing on the test classes is worth, "
        f"{unit} of MAP@R. A pool of random configurations, each trained as {study.folds} fold "
        f"models for {study.max_epochs} epochs; a score is the mean over the fold models. The "
        f"{' or '.join(map(str, classes)) or 'no'} test classes are halved at random into A and B, "
        f"{HALVINGS} times, both ways round. Of k configurations, honest is the one (and its "
        "epoch) with the best held-out score, test-tuned the one with the best score on A. Both "
        "are between the same models; B chooses nothing.",
        "optimism: of the test-tuned pick, the score on A minus that on B (that of the whole pool "
        "is 0). gain: what the test-tuned pick scores more on B than the honest one, so what the "
        "look at A was worth as information. total = optimism + gain: what would be reported too "
        "much. Test-tuned numbers are no results.",
        "Values are means over all searches of k in the pool. ±: 95 % interval over test classes "
        "(delete-a-group jackknife), given the pool. [ ]: where 95 % of single searches lie, "
        f"k configurations drawn with replacement ({DRAWS} draws), given the test classes. "
        "Searches of k near the size of the pool share most of their configurations, so that "
        "their range is too narrow: it is left out above half of the pool.",
        "A and B have half of the test classes each. All of them together are twice as many: less "
        "noise, so less optimism than here where it is luck.",
        *_at_the_end(table),
        *_images(images),
        f"Network: {network_of(study)}.",
        *origins.lines(row.origins for row in table.rows),
    ]
    lines += table.notes
    for row in table.rows:
        if row.failed:
            failed = f"{row.failed} configurations with a failed fold"
            lines.append(f"FAILED: {row.loss}, {failed} are left out of the pool.")
        lines += warnings(row.loss, row.progress)
    return "\n".join(lines)


def _at_the_end(table: Table) -> list[str]:
    """The line on how many configurations were still getting better when they ended."""
    counts = [f"{row.loss} {row.at_the_end} of {row.size}" for row in table.rows if row.at_the_end]
    if not counts:
        return []
    return [
        f"AT THE END: best by held-out score after the last of {table.study.max_epochs} epochs: "
        f"{', '.join(counts)} configurations. Where most are, the choice of the epoch had nothing "
        "to choose from, and what it is worth after a plateau is not measured."
    ]


def _images(images: int | None) -> list[str]:
    """The line on how many images are scored, where that is not all."""
    if images is None:
        return []
    return [
        f"Scored: the first {images} images of each held-out and test class, so that these scores "
        "cannot be compared with those of other studies."
    ]


def _points(value: float, spec: str = ".2f") -> str:
    return format(round(100 * value, 2) + 0.0, spec)  # no -0.00


def _interval(row: Row, quantity: str, k: int) -> str:
    """The mean of a quantity in points, its interval over classes and the range over searches."""
    text = _points(row.worth[quantity][k - 1], "+.2f")
    if row.over_classes is not None:
        text += f" ± {_points(row.over_classes[quantity][k - 1])}"
    if 2 * k <= row.size:
        low, high = row.over_searches[quantity][k]
        text += f" [{_points(low, '+.2f')}, {_points(high, '+.2f')}]"
    return text


def _body(table: Table) -> list[list[str]]:
    body = []
    for row in table.rows:
        for k in sizes_of(row):
            honest, tuned = row.curves[HONEST], row.curves[TUNED]
            scores = [honest[1], tuned[0], tuned[1]]
            line = [row.loss, str(k), *(_points(each[k - 1]) for each in scores)]
            body.append(line + [_interval(row, quantity, k) for quantity in QUANTITIES])
        if not row.curves:
            body.append([row.loss, str(row.size), *["-"] * (len(HEAD) - 2)])
    return body


def _largest_size(row: Row) -> int:
    """The largest of SIZES within half of the row's pool."""
    return max(size for size in (*SIZES, 1) if size == 1 or 2 * size <= row.size)


def _rules_body(table: Table) -> list[list[str]]:
    """What each way to choose params and epoch gives, at the largest size within half the pool."""
    body = []
    for row in table.rows:
        if not row.curves:
            continue
        k = _largest_size(row)
        honest = row.curves[HONEST][1][k - 1]
        for rule in RULES:
            on_a, on_b = (scores[k - 1] for scores in row.curves[rule])
            numbers = [_points(on_a), _points(on_b)]
            numbers += [_points(on_a - on_b, "+.2f"), _points(on_b - honest, "+.2f")]
            body.append([row.loss, str(k), *(NAMES[by] for by in rule), *numbers])
    return body


RULES_CAPTION = (
    "By what chooses the params and what chooses the epoch, separately: each configuration stands "
    "at the epoch that is chosen for it (or at the last), and the configuration by its score there."
)


def answer(table: Table) -> list[str]:
    """What was reported too much, of each loss, in a sentence; or that there is no answer yet."""
    by_size: dict[int, list[str]] = {}
    for row in table.rows:
        if row.curves:
            k = _largest_size(row)
            text = f"{row.loss} {_points(row.worth['total'][k - 1], '+.2f')}"
            if row.over_classes is not None:
                text += f" ± {_points(row.over_classes['total'][k - 1])}"
            by_size.setdefault(k, []).append(text)
    return [
        f"Choosing among {k} configurations on test classes reports this many points of MAP@R too "
        f"much: {', '.join(losses)}."
        for k, losses in by_size.items()
    ] or ["No answer yet: no loss has a whole pool."]


def sheet(table: Table) -> tuple[Sequence[str], list[list[str]]]:
    """Head and body for a narrow screen: what is too much first, without the ranges in brackets."""
    order = (0, 1, 5, 6, 7, 2, 3, 4)
    body = [[row[place].partition(" [")[0] for place in order] for row in _body(table)]
    return [HEAD[place] for place in order], body


def markdown(table: Table) -> str:
    """Both tables as GitHub markdown, the caption below the first."""
    text = markup.markdown(HEAD, _body(table), caption(table))
    return f"{text}\n{markup.markdown(RULES_HEAD, _rules_body(table), RULES_CAPTION)}"


def latex(table: Table) -> str:
    """Both tables as LaTeX table environments (package booktabs), captions included."""
    text = markup.latex(HEAD, _body(table), caption(table))
    return text + markup.latex(RULES_HEAD, _rules_body(table), RULES_CAPTION)


def comma_separated(table: Table) -> str:
    """One line for each loss, k and quantity, as shares of 1; the caption as comments."""
    data = [value for row in table.rows for value in _values(row)]
    head = ["loss", "k", "quantity", "mean", "classes_ci95", "searches_low", "searches_high"]
    body = [
        [table.study.name, table.dataset, *("" if v[n] is None else v[n] for n in head)]
        for v in data
    ]
    return markup.comma_separated(["study", "dataset", *head], body, caption(table, AS_SHARES))


def as_data(table: Table) -> dict[str, Any]:
    """The table for machines: every curve at every k, as shares of 1."""
    return {
        "study": table.study.name,
        "dataset": table.dataset,
        "caption": caption(table, AS_SHARES),
        "rows": [
            {
                "loss": row.loss,
                "configurations": row.size,
                "failed": row.failed,
                "best_after_the_last_epoch": row.at_the_end,
                "test_classes": row.n_classes,
                "finished": row.progress.finished,
                "values": _values(row),
            }
            for row in table.rows
        ],
    }


def _values(row: Row) -> list[dict[str, Any]]:
    """Every quantity, and the score of every rule's pick on both halves, at every k."""
    values = []
    for k in range(1, row.size + 1) if row.curves else ():
        for quantity in QUANTITIES:
            widths, ranges = row.over_classes, row.over_searches[quantity]
            value = _value(row, k, quantity, row.worth[quantity][k - 1])
            value["classes_ci95"] = None if widths is None else float(widths[quantity][k - 1])
            if k in ranges:
                value["searches_low"], value["searches_high"] = ranges[k]
            values.append(value)
        for rule in RULES:
            for half, scores in zip("AB", row.curves[rule], strict=True):
                values.append(_value(row, k, _score_name(rule, half), scores[k - 1]))
    return values


def _value(row: Row, k: int, quantity: str, mean: float) -> dict[str, Any]:
    return {
        "loss": row.loss,
        "k": k,
        "quantity": quantity,
        "mean": float(mean),
        "classes_ci95": None,
        "searches_low": None,
        "searches_high": None,
    }


def _score_name(rule: Rule, half: str) -> str:
    return f"params by {rule[0]}, epoch by {rule[1]}: on {half}"


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}
