"""`robustness`: recorded models on corrupted test images."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import engine_options
from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.commands.targets import Target
    from harness.engines.execute import Places
    from harness.tables.robustness import Robustness

HELP = "score recorded models on corrupted test images"
EPILOG = """\
The Complete runs behind a table, or behind a row of it, are trained again, one after another, for
records hold no models. Each is scored on the clean test images and on nine corruptions of them:
Gaussian and uniform noise, salt and pepper, dropout, cutout, shear, jigsaw, hue and saturation,
defocus blur, at the default strengths of imgaug 0.4.0. Nothing is written. On a frozen trunk
without augmentation records are of features, and there is nothing to corrupt."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("name", metavar="STUDY/DATASET[/LOSS]", help="the losses of a table, or one of them")
    add("--repeats", type=shared.count, metavar="N", help="the first N repeats (default: all)")
    add("--figure", type=Path, metavar="FILE", help="also draw it (.png, .pdf or .svg)")
    add("--json", action="store_true", help="the table as one JSON object")
    shared.add_device(parser)
    shared.add_threads(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Train the models again, score them, and print the table."""
    from harness.commands.demonstrations import made_by
    from harness.commands.targets import complete_models, failed_of
    from harness.tables import robustness

    if options.figure is not None:
        shared.check_figure_path(options.figure)
    places = engine_options.places_here(options)
    targets = complete_models(places.results, options.name, repeats=options.repeats)
    failed = failed_of(targets, repeats=options.repeats)
    result = replace(_scored(targets, options.name, places), failed=failed)
    if options.json:
        print(json.dumps({"event": "robustness", **robustness.as_data(result, made_by())}))
    else:
        sys.stdout.write(robustness.text(result, made_by()))
    sys.stdout.flush()  # what was trained is told before a figure can fail
    if options.figure is not None:
        robustness.draw(result, options.figure)


def _scored(targets: list[Target], address: str, places: Places) -> Robustness:
    """Every target's scores, clean and corrupted."""
    from harness.commands.targets import trained_again
    from harness.data.corruptions import CORRUPTIONS, Corrupted
    from harness.tables.robustness import CLEAN, METRIC, Robustness

    scores: dict[str, dict[str, dict[int, float]]] = {}
    unlike = []
    for target, model in trained_again(targets, places):
        if not model.same:
            unlike.append(target.address)
        of_loss = scores.setdefault(
            target.record.loss, {column: {} for column in (CLEAN, *CORRUPTIONS)}
        )
        repeat = target.record.repeat or 0
        of_loss[CLEAN][repeat] = model.scores[METRIC]
        for name in CORRUPTIONS:
            test = replace(model.test, images=Corrupted(model.test.images, name))
            of_loss[name][repeat] = model.scores_on(test)[METRIC]
    return Robustness(address, scores, unlike)
