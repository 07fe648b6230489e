"""`order`: what the order of the losses goes with."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness.commands import options as shared
from harness.commands import selection

if TYPE_CHECKING:
    from harness.commands.reading import Records
    from harness.tables.order import Order, Values
    from harness.tables.table import Table

    Read = tuple[Records, Table]

HELP = "say what the order of the losses goes with: year, search, cost, other data"
EPILOG = """\
For each dataset of each study, Kendall's rank correlation of the losses' mean scores with their
means in the other categories and metrics, in the same category on every other dataset or study that
is selected, with the year of publication, with how many dimensions were searched, and with how many
epochs and seconds a run took."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    selection.add_column(parser)
    add("--format", choices=("markdown", "csv", "json"), default="markdown")
    shared.add_json(parser)
    add(
        "--figure",
        type=Path,
        metavar="FILE",
        help="draw the scores of one dataset by year of publication (.png, .pdf or .svg)",
    )
    selection.add(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print a table of rank correlations for each dataset of each study."""
    from harness.measure import rank_correlation
    from harness.schema import Problem
    from harness.tables import metrics, order_text, repeats

    metric = metrics.metric(options.metric)
    shared.known("category", options.category, list(repeats.CATEGORIES))
    if metric.better == "neither":
        raise Problem(f"--metric {metric.name}: neither higher nor lower is better, so no order")
    if options.figure is not None:
        shared.check_figure_path(options.figure)
    read = _read(options)
    orders = [_order(options, one, read) for one in read if _scores(options, one)]
    if not orders and not read:
        raise Problem(
            "pools of configurations rank no losses; `python -m harness table` shows them"
        )
    if not orders:
        raise Problem(
            f"no loss has a score in the category {options.category} with {metric.name}; finish "
            "the studies, or give --category or --metric"
        )
    if max(len(order.losses) for order in orders) < rank_correlation.LEAST:
        counts = ", ".join(f"{len(one.losses)} on {one.dataset} of {one.study}" for one in orders)
        raise Problem(
            f"an order needs {rank_correlation.LEAST} losses with a score in the category "
            f"{options.category}; there are {counts}; `python -m harness compare` takes two"
        )
    if options.figure is not None:
        _draw(options.figure, orders, read)
    if options.format == "json":
        rows = [row for order in orders for row in order_text.as_data(order)]
        captions = list(dict.fromkeys(map(order_text.caption, orders)))
        print(json.dumps({"event": "order", "rows": rows, "captions": captions}))
    elif options.format == "csv":
        sys.stdout.write(order_text.comma_separated(orders))
    else:
        sys.stdout.write("\n".join(map(order_text.markdown, orders)))


def _read(options: argparse.Namespace) -> list[Read]:
    """What is selected, with its table, but for pools of configurations, which rank no losses."""
    from harness.commands import reading
    from harness.tables import metrics, table

    columns = list(dict.fromkeys([options.metric, *metrics.DEFAULT]))
    read = []
    for where, losses in selection.selected(options):
        records = reading.read_records(where, losses)
        if not records.study.test_scored:
            records.warn()
            made = table.table(records.study, records.dataset, records.by_loss, metrics=columns)
            read.append((records, made))
    return read


def _scores(options: argparse.Namespace, read: Read) -> Values:
    from harness.tables import metrics, order

    return order.means(read[1], options.category, metrics.metric(options.metric))[0]


def _order(options: argparse.Namespace, read: Read, all_read: Sequence[Read]) -> Order:
    """The order of one table beside the others, the losses' years and their costs."""
    from harness.tables import metrics, order

    records, table = read
    metric = metrics.metric(options.metric)
    beside: dict[str, Values] = {}
    for other in all_read:
        scores = _scores(options, other)
        if other is not read and scores:
            what = f"{options.category} {metric.title} on {other[1].dataset}"
            same = other[1].study.name == table.study.name
            what += "" if same else f", study {other[1].study.name}"
            beside[what] = {loss: metric.sign * score for loss, score in scores.items()}
    beside[order.YEAR] = {loss: float(file.YEAR) for loss, file in _files(records).items()}
    beside |= order.costs(records.study, records.by_loss, options.category)
    return order.order(table, options.category, metric, beside=beside)


def _files(records: Records) -> dict[str, ModuleType]:
    """The files of the losses that have one here."""
    from harness.schema import BASELINES, Problem
    from harness.training.loss_files import declared

    files = {}
    for loss in records.by_loss:
        if loss not in BASELINES:
            with contextlib.suppress(Problem, ModuleNotFoundError):
                files[loss] = declared(records.study.base_of(loss))
    return files


def _draw(path: Path, orders: Sequence[Order], read: Sequence[Read]) -> None:
    from harness.schema import Problem
    from harness.tables import years_figure

    if len(orders) > 1:
        names = ", ".join(f"{order.dataset} of {order.study}" for order in orders)
        raise Problem(f"--figure draws one dataset of one study, not {names}; give both")
    drawn = orders[0].study, orders[0].dataset
    records, table = next(one for one in read if (one[1].study.name, one[1].dataset) == drawn)
    kinds = {loss: file.KIND for loss, file in _files(records).items()}
    years_figure.draw(path, orders[0], table, kinds)
