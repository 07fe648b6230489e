"""`pairs`: recorded models on pairs of images: are two images of one class?"""

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
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from harness.commands.targets import Target
    from harness.data.face_pairs import FacePairs
    from harness.engines.execute import Places
    from harness.engines.retrain import Model
    from harness.schema import Ints
    from harness.tables.verification import OnPairs, Scored

HELP = "score recorded models on pairs of images, as faces are verified"
EPILOG = """\
The Complete runs behind a table, or behind a row of it, are trained again, one after another, for
records hold no models. Without --pairs the pairs are of the test classes of the study's dataset.
FILE is a .bin file of InsightFace (lfw.bin, cfp_fp.bin, agedb_30.bin ...), or LFW's pairs.txt with
--images FOLDER, which holds NAME/NAME_0001.jpg. Images are embedded once, without the mirrored
copies that some toolkits add. Nothing is written."""

LARGEST = 3000  # test images whose pairs are all compared; of more, these are drawn


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("name", metavar="STUDY/DATASET[/LOSS]", help="the losses of a table, or one of them")
    add("--pairs", type=Path, nargs="+", metavar="FILE", help="pairs of images in files")
    add("--images", type=Path, metavar="FOLDER", help="the images that a pairs.txt names")
    add("--repeats", type=shared.count, metavar="N", help="the first N repeats (default: all)")
    add("--figure", type=Path, metavar="FILE", help="also draw the ROC (.png, .pdf or .svg)")
    add("--json", action="store_true", help="the table as one JSON object")
    shared.add_device(parser)
    shared.add_threads(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Train the models again, score them on pairs, and print the table."""
    from harness.commands.demonstrations import made_by
    from harness.commands.targets import complete_models, failed_of
    from harness.data import face_pairs
    from harness.schema import Problem
    from harness.tables import verification

    if options.figure is not None:
        shared.check_figure_path(options.figure)
    places = engine_options.places_here(options)
    targets = complete_models(places.results, options.name, repeats=options.repeats)
    files = face_pairs.read_all(options.pairs or (), options.images)
    if options.images is not None and not files:
        raise Problem("--images is the folder of a pairs.txt: give that with --pairs")
    on_pairs = replace(
        _scored(targets, options.name, files, places),
        failed=failed_of(targets, repeats=options.repeats),
    )
    if options.json:
        print(json.dumps({"event": "pairs", **verification.as_data(on_pairs, made_by())}))
    else:
        sys.stdout.write(verification.text(on_pairs, made_by()))
    sys.stdout.flush()  # what was trained is told before a figure can fail
    if options.figure is not None:
        verification.draw(on_pairs, options.figure)


def _scored(targets: list[Target], address: str, files: list[FacePairs], places: Places) -> OnPairs:
    """Every target's model on every file, or on the test classes."""
    from harness.commands.targets import trained_again
    from harness.tables.verification import TEST, OnPairs

    names = [one.name for one in files] or [TEST]
    scored: dict[str, dict[str, dict[int, Scored]]] = {}
    unlike = []
    for target, model in trained_again(targets, places):
        if not model.same:
            unlike.append(target.address)
        of_loss = scored.setdefault(target.record.loss, {name: {} for name in names})
        repeat = target.record.repeat or 0
        if not files:
            of_loss[TEST][repeat] = _on_test_classes(model)
        for one in files:
            of_loss[one.name][repeat] = _on_file(model, one)
    n_pairs = {one.name: len(one.genuine) for one in files}
    return OnPairs(address, scored, unlike, n_pairs)


def _on_test_classes(model: Model) -> Scored:
    """Accuracy on drawn pairs in ten folds, as the diagnostic has it; the rest on all pairs."""
    import numpy as np
    from torch.nn.functional import pdist

    from harness.measure import diagnostics, verification
    from harness.schema import Problem
    from harness.seeds import seed_from
    from harness.tables.verification import scored

    labels = model.test.labels
    reason = diagnostics.undefined(["verification_accuracy"], labels)
    if reason is not None:
        raise Problem(f"{model.run.dataset}: {reason}; give pairs in a file with --pairs")
    rows = model.embedded.double().cpu()
    drawn = verification.pairs(labels, rng=np.random.default_rng(seed_from("verification pairs")))
    of_drawn = _similarities(rows, drawn.first, drawn.second)
    accuracy = verification.accuracy(of_drawn, drawn.genuine, drawn.fold)
    rng = np.random.default_rng(seed_from("images in pairs"))
    chosen = np.sort(rng.permutation(len(rows))[:LARGEST])
    similarities = -pdist(rows[chosen]).numpy()
    first, second = np.triu_indices(len(chosen), 1)
    genuine = labels[chosen][first] == labels[chosen][second]
    return scored(similarities, genuine, accuracy)


def _on_file(model: Model, pairs: FacePairs) -> Scored:
    """Accuracy in the file's folds, the rest on all of its pairs."""
    import numpy as np

    from harness.data.face_pairs import Faces
    from harness.measure import verification
    from harness.schema import Part
    from harness.tables.verification import scored

    grey = model.dataset.images[0].shape[2] == 1
    faces = Faces(pairs.sources, model.run.study.resize, grey)
    part = Part(faces, np.arange(len(faces)), np.zeros(len(faces), np.int64))
    rows = model.embeddings_of(part).double().cpu()
    similarities = _similarities(rows, pairs.first, pairs.second)
    accuracy = verification.accuracy(similarities, pairs.genuine, pairs.fold)
    return scored(similarities, pairs.genuine, accuracy)


def _similarities(rows: Tensor, first: Ints, second: Ints) -> npt.NDArray[np.float64]:
    """Minus the Euclidean distances of pairs of rows [n]: by cosine, if rows are of unit length."""
    similarities: npt.NDArray[np.float64] = -(rows[first] - rows[second]).norm(dim=1).numpy()
    return similarities
