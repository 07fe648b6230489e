"""`verify`: repeat the runs behind a number from their records, and compare what comes out."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.commands import engine_options
from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.commands.targets import Target
    from harness.engines.execute import Places
    from harness.schema import Record

HELP = "repeat the runs behind a number and compare"
EPILOG = """\
identical: every score, also by class, every diagnostic, the curve, the failure and the epochs are
bitwise equal.
within the interval: code, packages or machine changed since, and every score is equal, or the
new and the recorded one lie in the 95 % prediction interval of at least 3 other repeats.
different: anything else. underivable: it is not what the study gives, so nothing was trained.
A processor with AVX-512 rounds otherwise than one without it, and a run may then end elsewhere.
With ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 in the environment it computes as that one.
Exit codes: 1 if a record is different or underivable, 130 after Ctrl-C."""
# What can change a number besides the run itself.
PROVENANCE = (
    "commit",
    "dirty",
    "content",
    "loss_code",
    "trunk_code",
    "study_code",
    "versions",
    "device",
    "processor",
    "threads",
    "precision",
    "compile",
    "fold_batch_norm",
    "weights",
)
# Which older records do not have.
YOUNGER = ("content", "loss_code", "trunk_code", "study_code", "processor")
LEAST_REPEATS = 3  # others, for a prediction interval
Verdict = Literal["identical", "within the interval", "given up", "different", "underivable"]
BAD: tuple[Verdict, ...] = ("different", "underivable")
UNEQUAL: tuple[Verdict, ...] = ("different", "within the interval")
# The 20-trial records of warped and the demo's come out identical with these on a processor with
# AVX-512, and without them different.
WITHOUT_AVX512 = "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2"


@dataclass(frozen=True)
class Finding:
    """A record compared with its repeated run: the verdict, and what differs."""

    record: str
    verdict: Verdict
    differences: dict[str, float]  # score -> new minus recorded, where it is not zero
    changes: tuple[str, ...]  # of the provenance, and fields beside the scores that differ


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "name",
        metavar="STUDY/DATASET[/LOSS[/KEY]]",
        help="a record, or all behind a row or a table",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line: every record, the counts last"
    )
    shared.add_device(parser)
    shared.add_threads(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Repeat the runs of the records that the name means, one after another, and say what came."""
    from harness.commands.targets import records_named

    places = engine_options.places_here(options)
    targets = records_named(places.results, options.name)
    verdicts: Counter[Verdict] = Counter()
    code = 0
    try:
        for number, target in enumerate(targets, start=1):
            print(f"{number} of {len(targets)}: {target.address}", file=sys.stderr, flush=True)
            finding = verify(target, places)
            verdicts[finding.verdict] += 1
            print(as_json(finding) if options.json else "\n".join(lines(finding)), flush=True)
    except KeyboardInterrupt:
        code = 130
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none"
    if options.json:
        print(json.dumps({"event": "verified", "records": len(targets), "verdicts": verdicts}))
    else:
        stopped = "; stopped" if code else ""
        print(f"verified {verdicts.total()} of {len(targets)}: {counts}{stopped}")
    if any(verdicts[verdict] for verdict in UNEQUAL) and _may_lack_avx512(targets):
        shared.warn(
            f"made on a processor without AVX-512? {WITHOUT_AVX512} before the same command "
            "computes as such a one does"
        )
    if code or any(verdicts[verdict] for verdict in BAD):
        sys.exit(code or 1)


def _may_lack_avx512(targets: Sequence[Target]) -> bool:
    """Whether torch uses AVX-512 here, and a CPU record does not say that it did there."""
    import torch

    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    made_by = [target.record.provenance for target in targets]
    return any(
        str(one.get("device")).startswith("cpu") and "AVX512" not in str(one.get("processor"))
        for one in made_by
    )


def as_json(finding: Finding) -> str:
    """A finding as a JSON object; the difference of a score that one of the two lacks is null."""
    differences = {
        name: value if math.isfinite(value) else None for name, value in finding.differences.items()
    }
    return json.dumps({"event": "finding", **vars(finding), "differences": differences})


def verify(target: Target, places: Places) -> Finding:
    """Repeat a record's run in a temporary folder, and compare; the verdicts are EPILOG's.

    A record of a run that was given up because its processes died has nothing to compare. Problem
    where the dataset is not the record's.
    """
    from harness.data import datasets
    from harness.engines.execute import execute
    from harness.schema import Problem, run_of

    study, record = target.study, target.record
    if target.reason is not None:
        return Finding(target.address, "underivable", {}, (target.reason,))
    if not record.provenance:
        return Finding(target.address, "given up", {}, (record.failure or "",))
    fingerprint = datasets.load(record.dataset, places.data, study.resize).fingerprint
    if fingerprint != record.provenance["dataset"]:
        raise Problem(
            f"{record.dataset} is not the dataset of {target.address}: fingerprint "
            f"{fingerprint}, recorded {record.provenance['dataset']}; restore its images"
        )
    with tempfile.TemporaryDirectory() as results:
        # with the diagnostics that the record was made with
        study = replace(study, diagnostics=tuple(record.diagnostics or ()))
        new = execute(run_of(study, record), replace(places, results=Path(results)))
    before, after = numbers_of(record), numbers_of(new)
    differences = {
        name: after.get(name, math.nan) - before.get(name, math.nan)
        for name in {**before, **after}
        if after.get(name) != before.get(name)
    }
    differing_fields = tuple(
        f"its {name} differs"
        for name in ("failure", "epochs", "curve", "by_class", "capped", "test_queries")
        if _as_read(getattr(new, name)) != _as_read(getattr(record, name))
        and not (name == "capped" and record.capped is None)  # an older record
    )
    changes = _provenance_changes(record, new)
    verdict: Verdict = "different"
    if not differences and not differing_fields:
        verdict = "identical"
    elif changes and (not differences or _within_interval(record, new, target.loss_records)):
        verdict = "within the interval"
    return Finding(target.address, verdict, differences, changes + differing_fields)


def numbers_of(record: Record) -> dict[str, float]:
    """A record's scores and diagnostics."""
    return {**record.scores, **(record.diagnostics or {})}


def _as_read(value: object) -> object:
    """A record's field as it comes back from disk: sequences are lists there."""
    return json.loads(json.dumps(value))


def _provenance_changes(record: Record, new: Record) -> tuple[str, ...]:
    """What of the making differs, or cannot be told to be the same."""
    from harness.schema import LATER

    before, now = record.provenance, new.provenance
    changes = [
        f"{key} {before.get(key)} -> {now.get(key)}"
        for key in PROVENANCE
        if before.get(key, LATER.get(key)) != now.get(key)
        and not (key in YOUNGER and None in (before.get(key), now.get(key)))
    ]
    if before.get("dirty") is not False and "content" not in before:
        changes.append(f"code {before.get('commit')} with changes that were not recorded")
    return tuple(changes)


def _within_interval(record: Record, new: Record, loss_records: Sequence[Record]) -> bool:
    """Whether every score, new and recorded, is what one more repeat could have given, at 95 %."""
    from harness.measure import intervals

    if new.failure is not None or record.failure is not None:
        return False
    recorded = numbers_of(record)
    if numbers_of(new).keys() != recorded.keys():
        return False
    repeats = [
        other
        for other in loss_records
        if (other.stage, other.trial, other.fold) == (record.stage, record.trial, record.fold)
        and other.search_repeat == record.search_repeat
        and other.failure is None
        and other.key != record.key
    ]
    if len(repeats) < LEAST_REPEATS:
        return False
    for name, value in numbers_of(new).items():
        values = [numbers[name] for numbers in map(numbers_of, repeats) if name in numbers]
        if len(values) < LEAST_REPEATS:
            return False
        interval = intervals.t_interval(values)
        # One more draw varies by s sqrt(1 + 1/n), the mean by s / sqrt(n).
        half_width = interval.half_width * (len(values) + 1) ** 0.5
        for one in (value, recorded[name]):
            if abs(one - interval.mean) > half_width:
                return False
    return True


def lines(finding: Finding) -> list[str]:
    """A finding as text."""
    text = [f"{finding.record}: {finding.verdict}"]
    text += [f"  {score}: {difference:+.3e}" for score, difference in finding.differences.items()]
    return text + [f"  changed: {change}" for change in finding.changes]
