"""`study --resume-from`: records that RESULTS lacks, copied from another such folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.commands.study_choice import Choice
    from harness.schema import Study


def copy(
    source: Path,
    results: Path,
    study: Study,
    choice: Choice,
    *,
    data_root: Path,
    say: Callable[[str], None],
) -> None:
    """Copy the records of every dataset that is chosen, once all of them are found to be right."""
    from harness.data import datasets, named_options

    for name in choice.datasets:
        resize = study.for_dataset(named_options.read(name).name).resize
        found = datasets.load(name, data_root, resize, say).fingerprint
        check_source(source, results, study, name, found, choice.counts_given)
    for name in choice.datasets:
        say(carry_over(source, results, study, name))


def carry_over(source: Path, results: Path, study: Study, dataset: str) -> str:
    """Copy the records of a study on a dataset that `results` lacks; the line that says so."""
    from harness.records import folder, packed

    there, here = (folder.folder_of(root, study.name, dataset) for root in (source, results))
    carried = packed.carry_over(there, here, folder.hold)
    line = f"{dataset}: records of {', '.join(carried.copied) or 'no loss'} copied from {there}"
    return line + (f"; kept as here: {', '.join(carried.kept)}" if carried.kept else "")


def check_source(
    source: Path,
    results: Path,
    study: Study,
    dataset: str,
    fingerprint: str | None = None,
    counts_given: Collection[str] = (),
) -> None:
    """Problem where records cannot be carried over.

    That is where they are of another study, of more trials or repeats than those that are given,
    or of images with another fingerprint than the given one; or where there are none to be read.
    """
    from dataclasses import asdict

    from harness.data import named_options
    from harness.records import folder, packed, records
    from harness.schema import Problem

    there, here = (folder.folder_of(root, study.name, dataset) for root in (source, results))
    if not packed.record_files(there):
        raise Problem(f"--resume-from {source}: there are no records in {there}; give RESULTS")
    before = folder.read_description(there)
    if before is None:
        raise Problem(f"--resume-from {source}: {there} has no study.json; nothing was copied")
    way_out = "nothing was copied: undo the change, or leave --resume-from out"
    if fingerprint is not None and before["fingerprint"] != fingerprint:
        raise Problem(
            f"--resume-from {source}: its records are of {dataset} with the fingerprint "
            f"{before['fingerprint']}, here it is {fingerprint}; {way_out}"
        )
    reading = named_options.read(dataset)
    if reading.kind != "features":  # of features, a study's trunk is known once they are loaded
        of_dataset = study.for_dataset(reading.name)
        names = (before["dataset"], before["title"], before["fingerprint"])
        folder.check_comparable(there, before, folder.describe(of_dataset, *names), way_out)
    if (present := folder.read_description(here)) is not None:
        folder.check_comparable(there, before, present, way_out)
    without = "leave --resume-from out; nothing was copied"
    folder.check_counts(there, before["study"], asdict(study), without, counts_given)
    for path in packed.record_files(there):
        records.read(path, curves=False)
