"""What is wrong with the records of a study on a dataset, each with what to do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.commands import options as shared
from harness.commands import study_choice, study_files
from harness.commands.derivation import CHANGED, reasons
from harness.data import named_options
from harness.protocol import likeness, plan
from harness.records import code, folder, packed, records
from harness.schema import NOT_IN_DIGEST, Problem, Study

# Fields that the command line, or the device, may set otherwise than the study's file.
OF_THE_COMMAND = (*NOT_IN_DIGEST, "trunk", "weights")
OF_THE_DEVICE = ("precision", "compile", "fold_batch_norm")
LISTED = 3
OTHER_CODE = (
    "check them in a checkout of the code that made them (their commit is in each record), or set "
    "them aside: study --fresh"
)


@dataclass(frozen=True)
class Finding:
    """What is wrong with the records of a loss, or of a whole study, and what to do."""

    address: str  # study/dataset or study/dataset/loss, as the results folder spells it
    kind: str
    what: str
    advice: str


@dataclass(frozen=True)
class Checked:
    """A results folder after its check."""

    n_records: int
    without_digest: int
    findings: tuple[Finding, ...]


def check(where: Path) -> Checked:
    """Check every record of the folder results/<study>/<dataset>."""
    address = f"{where.parent.name}/{where.name}"
    try:
        description = shared.read_description(where)
        study = folder.study_of(description)
    except (Problem, KeyError, TypeError) as error:
        advice = "restore study.json, or run the study again with --fresh"
        return Checked(0, 0, (Finding(address, "study", f"study.json: {error}", advice),))
    findings = list(_of_study(address, where, description, study))
    n_records = without_digest = 0
    paths = packed.record_files(where)
    if not paths:
        dataset = description["dataset"]
        given = study_choice.options_given(study, dataset)
        command = study_choice.command(study.name, dataset, [], given, where.parents[1])
        advice = f"run it: {command}"
        findings.append(Finding(address, "incomplete", "it has no records", advice))
    for path in paths:
        of_loss = f"{address}/{path.stem}"
        try:
            contents = records.read(path)
        except Problem as problem:
            advice = "do what it says; check goes on behind that line once it can be read"
            findings.append(Finding(of_loss, "unreadable", str(problem), advice))
            continue
        n_records += len(contents.records)
        without_digest += sum(record.digest is None for record in contents.records)
        findings += _of_loss(of_loss, path, description, contents)
    return Checked(n_records, without_digest, tuple(findings))


def _of_study(
    address: str, where: Path, description: Mapping[str, Any], study: Study
) -> Iterator[Finding]:
    """What is wrong with study.json: in itself, and beside the study's file."""
    restore = "restore study.json; only `study` writes it"
    if description["digest"] != study.digest():
        what = f"study.json's digest is {description['digest']}, its study's {study.digest()}"
        yield Finding(address, "study", what, restore)
    if study.name != where.parent.name:
        what = f"study.json is of the study {study.name}, its folder of {where.parent.name}"
        yield Finding(address, "study", what, restore)
    if study.name not in shared.names_in("studies"):
        return
    try:
        dataset = named_options.read(description["dataset"]).name
        present = study_files.load_study(study.name).for_dataset(dataset)
    except Problem as problem:
        yield Finding(address, "study", str(problem), "mend the study's file")
        return
    changes = [
        f"{item.name} {getattr(study, item.name)!r} -> {getattr(present, item.name)!r}"
        for item in dataclasses.fields(Study)
        if getattr(study, item.name) != getattr(present, item.name)
        and item.name in description["study"]  # an older one lacks fields that came later
        and item.name not in (*OF_THE_COMMAND, *OF_THE_DEVICE)
        and (item.name, study.pooling) != ("pooling", "trunk")  # of --trunk
        and not (study.on_features and item.name == "freeze_trunk")  # of features:FILE
        and not (item.name == "variants" and study.variants.items() <= present.variants.items())
    ]
    if changes:
        what = f"studies/{study.name}.py has changed since: {'; '.join(changes)}"
        advice = "undo the change, or run the study again with --fresh or under another name"
        yield Finding(address, "study", what, advice)


def _of_loss(
    address: str, path: Path, description: Mapping[str, Any], contents: records.Lines
) -> Iterator[Finding]:
    """What is wrong with the records of one loss."""
    study = folder.study_of(description)
    dataset = description["dataset"]
    given = study_choice.options_given(study, dataset) or []
    given += study_choice.threads_given(contents.records)
    command = study_choice.command(study.name, dataset, [path.stem], given, path.parents[2])
    again = f"take those lines out; {command} does their runs again"
    if contents.torn is not None:
        yield Finding(address, "torn", contents.torn, f"nothing but {command}")
    first: dict[str, int] = {}
    doubles = [
        place
        for place, record in enumerate(contents.records)
        if first.setdefault(record.key, place) != place
    ]
    underivable = reasons(description, path.stem, contents)
    by_kind: dict[str, list[int]] = {"duplicate": doubles, "altered": [], "underivable": []}
    for place, reason in underivable.items():
        if place not in doubles:
            kind = "altered" if reason.startswith(records.ALTERED) else "underivable"
            by_kind[kind].append(place)
    for kind, places in by_kind.items():
        if places:
            what = _listed(contents, places, underivable)
            if kind == "underivable" and len(places) > 1:
                what += "; later ones may follow from the first"
            explained = CHANGED in underivable.get(places[0], "")
            yield Finding(address, kind, what, OTHER_CODE if explained else again)
    for name, values in likeness.mixed(contents.records).items():
        what = f"{name}: {_counts(values)}: their numbers are averaged"
        advice = f"{command} --fresh sets them aside and starts again"
        yield Finding(address, "mixed", what, advice)
    progress = plan.progress(study, path.stem, contents.records)
    if not progress.finished:
        counts = ", ".join(
            f"{stage} {progress.done[stage]}/{planned}"
            for stage, planned in progress.planned.items()
        )
        writer = folder.holder_of(path)
        advice = f"wait for process {writer['pid']} on {writer['host']}" if writer else command
        if _code_changed(contents, study.for_loss(path.stem), study.base_of(path.stem)):
            advice = (
                f"the code of the loss or of the trunk has changed since: restore it, or {command} "
                "--fresh"
            )
        yield Finding(address, "incomplete", counts, advice)


def _code_changed(contents: records.Lines, study: Study, loss: str) -> bool:
    """Whether `study` would refuse to go on, because the loss or the trunk is another one now."""
    provenances = {id(r.provenance): r.provenance for r in contents.records}.values()
    losses = {code.loss_code_behind(provenance, loss) for provenance in provenances}
    trunks = {provenance.get("trunk_code") for provenance in provenances}
    now = code.loss_code(loss), code.trunk_code(study.trunk)
    return bool(losses - {None, now[0]} or trunks - {None, now[1]})


def _listed(contents: records.Lines, places: list[int], why: Mapping[int, str]) -> str:
    """How many records, and the first of them with their lines and reasons."""
    named = "; ".join(
        f"line {place + 1}, {contents.records[place].key}: {why[place]}"
        for place in places[:LISTED]
    )
    more = f"; and {len(places) - LISTED} more" if len(places) > LISTED else ""
    return f"{len(places)} of {len(contents.records)} records: {named}{more}"


def _counts(values: Counter[str]) -> str:
    return ", ".join(f"{value} ({count} records)" for value, count in values.items())
