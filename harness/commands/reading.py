"""The records of a results folder for tables: checked, and without what is not to be believed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.commands.options import known, read_description
from harness.protocol import derive
from harness.records import folder, packed, records
from harness.schema import BASELINES, Problem, Record, Study
from harness.tables import believed, chosen, experiments


@dataclass(frozen=True)
class Records:
    """The records of a study on a dataset, as a results folder holds them."""

    study: Study
    dataset: str  # what the dataset calls itself
    by_loss: Mapping[str, Sequence[Record]]
    notes: Sequence[str]  # what was checked, left out, mixed or torn

    @property
    def amiss(self) -> list[str]:
        """The notes, but for what was checked."""
        return [note for note in self.notes if not note.startswith("Checked")]

    def warn(self) -> None:
        """Print what is amiss to standard error: for texts without it."""
        for note in self.amiss:
            print(f"harness: {self.study.name}/{self.dataset}: {note}", file=sys.stderr)


def read_records(where: Path, losses: Sequence[str] | None, *, curves: bool = False) -> Records:
    """The records of a results folder, without their learning curves unless `curves`.

    Those of experiments always have them, for their pages are made of them.
    `losses` are those that --loss names; baselines are always read with them. A record
    that is not what the study gives is left out, and the notes say so. A Problem if one of the
    losses has no records.
    """
    description = read_description(where)
    study = folder.study_of(description)
    every = [path.stem for path in packed.record_files(where)]
    names = every
    if losses is not None:
        for name in losses:
            known("loss", name, every)
        names = [name for name in every if name in losses or name in BASELINES]
    by_loss: dict[str, Sequence[Record]] = {}
    left_out: dict[str, dict[str, str]] = {}
    torn = []
    with_curves = curves or study.name in experiments.names()
    for name in names:
        contents = records.read(where / f"{name}.jsonl", curves=with_curves)
        origin = derive.Origin(
            study.for_loss(name), description["dataset"], name, description["fingerprint"]
        )
        reasons = dict.fromkeys(contents.altered, records.ALTERED)
        reasons |= derive.misfits(origin, contents.records)
        by_loss[name] = [r for place, r in enumerate(contents.records) if place not in reasons]
        if reasons:
            left_out[name] = {contents.records[place].key: why for place, why in reasons.items()}
        torn += [] if contents.torn is None else [contents.torn]
    notes = [*torn, *chosen.notes(names, every), *believed.notes(by_loss, left_out)]
    return Records(study=study, dataset=description["title"], by_loss=by_loss, notes=notes)


def check_final_runs(records: Records) -> None:
    """Problem for a study that has a pool instead of final runs, whose losses are not compared."""
    if records.study.test_scored:
        raise Problem(
            f"{records.study.name}/{records.dataset} has a pool of configurations and no final "
            f"runs; see what it has: python -m harness table --study {records.study.name}"
        )
