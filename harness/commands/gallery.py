"""`gallery`: what the model behind a number retrieves: queries and their first neighbours."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import engine_options
from harness.commands import options as shared

MOST_POINTS = 2000  # test images whose places are kept

if TYPE_CHECKING:
    from harness.engines.retrain import Model
    from harness.schema import Record
    from harness.tables.gallery import Strip

HELP = "draw what a recorded model retrieves: best, median and worst queries"
EPILOG = """\
The record's run is trained again, for records hold no models: the page says whether its scores are
the recorded ones. Without a KEY the Complete model of the first repeat is taken, or that of the
first fold where the study has no Complete runs yet. Queries are ordered by their own AP@R; no two
strips of a kind are of one class."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("name", metavar="STUDY/DATASET/LOSS[/KEY]", help="a loss, or one of its records")
    add("--figure", type=Path, metavar="FILE", help="draw the strips (.png, .pdf or .svg)")
    add(
        "--keep",
        action="store_true",
        help="also keep the strips, and where the test images lie in two dimensions, beside the "
        "records: `report` then shows them",
    )
    add("--queries", type=shared.count, default=3, metavar="N", help="of every kind (default: 3)")
    add(
        "--neighbours",
        type=shared.count,
        default=8,
        metavar="K",
        help="of each query (default: %(default)s)",
    )
    add("--json", action="store_true", help="the strips as one JSON object")
    shared.add_device(parser)
    shared.add_threads(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Train the model again, and print and draw its strips."""
    from harness import files
    from harness.commands.targets import records_named
    from harness.engines import retrain
    from harness.records import folder
    from harness.schema import Problem
    from harness.tables import gallery

    if options.figure is not None:
        shared.check_figure_path(options.figure)
    places = engine_options.places_here(options)
    targets = records_named(places.results, options.name)
    losses = {target.record.loss for target in targets}
    if len(losses) > 1:
        raise Problem(f"{options.name} is of {len(losses)} losses; name one: {', '.join(losses)}")
    by_key = {target.record.key: target for target in targets}
    target = by_key[_shown([target.record for target in targets]).key]
    if target.reason is not None:
        raise Problem(f"{target.address} is not what its study gives: {target.reason}")
    print(f"harness: training {target.address} again", file=sys.stderr, flush=True)
    model = retrain.model_of(target.study, target.record, places)
    strips = _strips(model, options.queries, options.neighbours)
    if options.json:
        data = gallery.as_data(strips, target.address, same=model.same)
        print(json.dumps({"event": "gallery", **data}))
    else:
        sys.stdout.write(gallery.text(strips, target.address, same=model.same))
    if options.figure is not None:
        gallery.draw(strips, target.address, options.figure)
    if options.keep:
        path = gallery.kept_path(
            folder.folder_of(places.results, target.study.name, target.record.dataset),
            target.record.loss,
        )
        files.write_text(path, json.dumps(_kept(model, strips, target.address)))
        print(f"harness: {path}: `report` shows it", file=sys.stderr)


def _shown(records: list[Record]) -> Record:
    """The record whose model is shown, of those that the name means; the first that is there."""
    from harness.engines.retrain import MODELS

    def place(record: Record) -> tuple[bool, bool, int, int]:
        no_model = record.failure is not None or record.stage not in MODELS
        return no_model, record.stage != "complete", record.repeat or 0, record.fold or 0

    return min(records, key=place)


def _kept(model: Model, strips: list[Strip], address: str) -> dict[str, Any]:
    """What `report` shows of a model: strips with pixels, points of at most MOST_POINTS images."""
    from harness.measure import projection
    from harness.tables import gallery

    step = -(-len(model.embedded) // MOST_POINTS)
    plane = projection.principal_plane(model.embedded[::step])
    names, label_of = model.dataset.class_names, model.dataset.labels
    return {
        **gallery.as_data(strips, address, same=model.same, pixels=True),
        "variance_share": round(plane.share, 4),
        "points": [[round(x, 4) for x in point] for point in plane.coordinates.tolist()],
        "classes": [str(names[int(label_of[int(i)])]) for i in model.test.index[::step]],
    }


def _strips(model: Model, each: int, count: int) -> list[Strip]:
    """The strips of a model, best queries first."""
    import torch

    from harness.measure.galleries import galleries_of
    from harness.measure.retrieved import chosen_queries, first_neighbours
    from harness.measure.scores import neighbour_lists
    from harness.tables.gallery import Picture, Strip

    labels = torch.from_numpy(model.test.labels)
    lists = neighbour_lists(model.embedded, labels, **model.masks)
    scores = lists.by_query()["map_at_r"].cpu()
    galleries = galleries_of(labels, **model.masks, device=model.embedded.device)
    queries = galleries.queries[galleries.has_positive]
    names, label_of = model.dataset.class_names, model.dataset.labels

    def picture(position: int, query: int) -> Picture:
        index = int(model.test.index[position])
        right = bool(labels[position] == labels[query])
        return Picture(model.test.images[index], str(names[int(label_of[index])]), right)

    strips = []
    by_kind = chosen_queries(scores, labels[queries.cpu()], each)
    for kind, chosen in by_kind.items():
        if not chosen:  # all queries are of the other kinds
            continue
        neighbours = first_neighbours(model.embedded, galleries, queries[chosen], count)
        for place, positions in zip(chosen, neighbours.tolist(), strict=True):
            query = int(queries[place])
            row = [picture(position, query) for position in positions if position >= 0]
            strips.append(Strip(kind, float(scores[place]), picture(query, query), row))
    return strips
