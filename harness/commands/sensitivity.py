"""`sensitivity`: how much recorded scores hang on the learning rates."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from harness.commands import engine_options, unused
from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.commands.targets import Target
    from harness.engines.execute import Places
    from harness.tables.metrics import Metric
    from harness.tables.sensitivity import Sensitivity

HELP = "train recorded models again at other learning rates: how much hangs on them"
EPILOG = """\
The Complete runs behind a table, or behind a row of it, are trained again, one after another: once
as recorded, and with the learning rates of network and loss times each factor. A study searches
these rates with the heads of its fold models; Complete may have a wider head, for which they may be
too high. Nothing is written. The scores are of test classes: nothing may be chosen by them.

--held-out: of each loss's first search the best trial's runs on its folds, scored on the held-out
classes that chose it. Did the search end near the best rates, and the runs on a plateau? Where
scores rise at other rates, or with --longer, a loss had too few trials or epochs for its number of
dimensions, and its place in the table is lower than it would be."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("name", metavar="STUDY/DATASET[/LOSS]", help="the losses of a table, or one of them")
    add(
        "--factors",
        type=shared.rate,
        nargs="+",
        default=[0.5],
        metavar="F",
        help="what the rates are multiplied by (default: 0.5)",
    )
    add("--repeats", type=shared.count, metavar="N", help="the first N repeats (default: all)")
    add(
        "--held-out",
        action="store_true",
        help="the best trials of the searches in place of Complete, on held-out classes",
    )
    add(
        "--longer",
        type=shared.count,
        default=1,
        metavar="N",
        help="with --held-out: up to N times the epochs (default: 1)",
    )
    add(
        "--metric",
        default="map_at_r",
        metavar="NAME",
        help="map_at_r, r_precision, precision_at_1 or recall_at_K (default: %(default)s)",
    )
    add("--json", action="store_true", help="the table as one JSON object")
    shared.add_device(parser)
    shared.add_threads(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Train the models again, score them, and print the table."""
    from harness.commands.demonstrations import made_by
    from harness.commands.targets import complete_models, searched_folds
    from harness.schema import Problem
    from harness.tables import metrics, sensitivity

    if options.held_out:
        why = "is of Complete, and --held-out takes the folds of the best trials"
        unused.refuse(options, add_options, {"--repeats": why})
    else:
        why = "is of searches, and Complete's epochs are as recorded; give --held-out too"
        unused.refuse(options, add_options, {"--longer": why})
    metric = metrics.metric(options.metric)
    places = engine_options.places_here(options)
    if options.held_out:
        targets = searched_folds(places.results, options.name)
    else:
        targets = complete_models(places.results, options.name, repeats=options.repeats)
    if any(metric.name not in target.record.scores for target in targets):
        raise Problem(f"--metric {metric.name}: not every run of {options.name} was scored by it")
    result = _scored(targets, options, metric, places)
    if options.json:
        print(json.dumps({"event": "sensitivity", **sensitivity.as_data(result, made_by())}))
    else:
        sys.stdout.write(sensitivity.text(result, made_by()))


def _scored(
    targets: list[Target], options: argparse.Namespace, metric: Metric, places: Places
) -> Sensitivity:
    """Every target's recorded score, and its scores at each factor; a line says which it is."""
    from harness.commands.targets import announced, failed_of
    from harness.engines.endings import failure_of
    from harness.engines.retrain import held_out_scores_at, scores_at
    from harness.schema import Problem
    from harness.tables.sensitivity import Sensitivity

    factors = list(dict.fromkeys(options.factors))
    losses = list(dict.fromkeys(target.record.loss for target in targets))
    recorded: dict[str, dict[int, float]] = {loss: {} for loss in losses}
    again: dict[str, dict[int, float]] = {loss: {} for loss in losses}
    at: dict[float, dict[str, dict[int, float]]] = {
        factor: {loss: {} for loss in losses} for factor in factors
    }
    unlike = []
    for target in announced(targets):
        record = target.record
        repeat = (record.fold if options.held_out else record.repeat) or 0
        recorded[record.loss][repeat] = record.scores[metric.name]
        # first as recorded: what a factor changes must not be mixed with what a machine does
        done: dict[tuple[float, int], float] = {}
        for factor, longer in dict.fromkeys([(1.0, 1), *((f, options.longer) for f in factors)]):
            try:
                if options.held_out:
                    scores = held_out_scores_at(factor, longer, target.study, record, places)
                else:
                    scores = scores_at(factor, target.study, record, places)
            except Problem:
                raise
            except (Exception, SystemExit) as error:  # what would be a run's failure
                failure = failure_of(error)
                print(f"{target.address} at {factor:g}: {failure}", file=sys.stderr, flush=True)
                continue
            done[factor, longer] = scores[metric.name]
            if (factor, longer) == (1, 1) and scores != dict(record.scores):
                unlike.append(target.address)
        if (1, 1) in done:
            again[record.loss][repeat] = done[1, 1]
        for factor in factors:
            if (factor, options.longer) in done:
                at[factor][record.loss][repeat] = done[factor, options.longer]
    failed = {} if options.held_out else failed_of(targets, repeats=options.repeats)
    return Sensitivity(
        options.name,
        metric,
        recorded,
        again,
        at,
        unlike,
        failed,
        held_out=options.held_out,
        longer=options.longer,
    )
