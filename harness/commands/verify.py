"""`verify`: retrain what is behind a number from its record, and say whether it comes out equal."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.engines.execute import Places
    from harness.schema import Record, Study

HELP = "retrain what is behind a number and compare"
# What can change a number besides the run itself.
PROVENANCE = (
    "commit", "dirty", "versions", "device", "threads", "precision", "compile",
    "fold_batch_norm", "weights",
)  # fmt: skip
Verdict = str  # "identical", "within the interval", "different"


@dataclass(frozen=True)
class Finding:
    """One record done again: what came out, and under which changed circumstances."""

    record: str
    verdict: Verdict
    differences: dict[str, float]  # score -> new minus old, where not zero
    changed: tuple[str, ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "name", metavar="STUDY/DATASET[/LOSS[/KEY]]", help="a record, a row or a whole table"
    )
    shared.add_device(parser)
    shared.add_threads(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Retrain the records that the name means; exit 1 if something comes out different."""
    from harness.engines.execute import Places
    from harness.engines.local import prepare

    places = Places(
        options.results.resolve(),
        options.data.resolve(),
        shared.device_named(options.device),
        options.threads,
    )
    prepare(places)
    different = 0
    for study, record, others in chosen(places.results, options.name):
        finding = verify(study, record, others, places)
        print("\n".join(lines(finding)), flush=True)
        different += finding.verdict == "different"
    if different:
        sys.exit(1)


def chosen(results: Path, name: str) -> Iterator[tuple[Study, Record, Sequence[Record]]]:
    """The records that a name means, each with its study and its file's other records.

    study/dataset/loss/key is one record; study/dataset/loss or study/dataset all those behind a
    row or a table: the final runs of the best trial.
    """
    from harness.protocol import optimism, plan
    from harness.records import folder, records
    from harness.schema import Problem

    parts = name.split("/")
    where = results / "/".join(parts[:2])
    description = folder.read_description(where) if len(parts) in (2, 3, 4) else None
    if description is None:
        raise Problem(
            f"no records {name!r} in {results}; give STUDY/DATASET, STUDY/DATASET/LOSS or "
            "STUDY/DATASET/LOSS/KEY; `python -m harness status` lists what there is"
        )
    study = folder.study_of(description)
    files = sorted(where.glob(f"{parts[2]}.jsonl" if len(parts) > 2 else "*.jsonl"))
    found = False
    for file in files:
        lines = records.read(file).records
        for record in lines:
            behind = record.stage not in optimism.BRANCHES and record.trial == plan.winner_of(
                study, file.stem, lines, record.stage, record.search_repeat
            )
            if record.key == parts[3] if len(parts) == 4 else behind:
                found = True
                yield study, record, lines
    if not found:
        raise Problem(
            f"no record {name!r} in {where}; `python -m harness status` lists what there is"
        )


def verify(study: Study, record: Record, others: Sequence[Record], places: Places) -> Finding:
    """Do a record's run again in a folder of its own and compare.

    identical: every score, also by class, the curve, the failure and the epochs are bitwise the
    same. within the interval: each score lies within the 95 % prediction interval of one more
    repeat around the other repeats (what another machine or version may change). Otherwise
    different.
    """
    from harness.engines.execute import execute
    from harness.schema import LATER, Problem, run_of

    with tempfile.TemporaryDirectory() as results:
        new = execute(run_of(study, record), replace(places, results=Path(results)))
    if new.provenance["dataset"] != record.provenance["dataset"]:
        raise Problem(
            f"{record.dataset} is not the dataset of {record.name}: fingerprint "
            f"{new.provenance['dataset']}, recorded {record.provenance['dataset']}"
        )
    differences = {
        score: new.scores.get(score, float("nan")) - value
        for score, value in record.scores.items()
        if new.scores.get(score) != value
    }
    changed = tuple(
        f"{key} {record.provenance.get(key)} -> {new.provenance.get(key)}"
        for key in PROVENANCE
        if record.provenance.get(key, LATER.get(key)) != new.provenance.get(key)
    )
    others_differ = tuple(
        f"its {name} differs"
        for name in ("failure", "epochs", "curve", "by_class")
        if _as_read(getattr(new, name)) != _as_read(getattr(record, name))
    )
    if not differences and not others_differ:
        verdict = "identical"
    elif new.failure is None and record.failure is None and _within(study, record, new, others):
        verdict = "within the interval"
    else:
        verdict = "different"
    return Finding(record.name, verdict, differences, changed + others_differ)


def _as_read(value: object) -> object:
    """A record's field as it comes back from disk: sequences are lists there."""
    return json.loads(json.dumps(value))


def _within(study: Study, record: Record, new: Record, others: Sequence[Record]) -> bool:
    """Whether the new scores are what one more repeat could have given."""
    from harness.measure import intervals
    from harness.tables.table import METRICS

    for score in METRICS:
        peers = [
            other.scores[score]
            for other in others
            if (other.stage, other.trial, other.fold) == (record.stage, record.trial, record.fold)
            and other.search_repeat == record.search_repeat
            and other.failure is None
        ]
        if len(peers) < 3:
            return False
        interval = intervals.t_interval(peers)
        # One more draw varies by s sqrt(1 + 1/n), the mean by s / sqrt(n).
        reach = interval.half_width * (len(peers) + 1) ** 0.5
        if abs(new.scores[score] - interval.mean) > reach:
            return False
    return True


def lines(found: Finding) -> list[str]:
    """A finding as text."""
    said = [f"{found.record}: {found.verdict}"]
    for score, gap in found.differences.items():
        said.append(f"  {score}: {gap:+.3e}")
    return said + [f"  changed: {what}" for what in found.changed]
