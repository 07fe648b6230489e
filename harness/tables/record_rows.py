"""Records as rows of numbers and names: runs, trials, curves, scores by class. No pandas, no torch.

Every score is a share of 1, as records hold it. None stands where there is no value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.protocol import trials
from harness.schema import Record, Study
from harness.tables.origins import commit_of

Kind = Literal["text", "whole", "number", "truth"]
Line = dict[str, Any]
PARAM = "param_"  # before the name of a param, as a column

NAMES: dict[str, Kind] = {"study": "text", "dataset": "text", "loss": "text"}
RUN: dict[str, Kind] = {
    **NAMES,
    "stage": "text",
    "key": "text",
    "search_repeat": "whole",
    "trial": "whole",
    "repeat": "whole",
    "fold": "whole",
}
RUNS: dict[str, Kind] = {
    **RUN,
    "seed": "whole",
    "epochs": "whole",
    "followup_epochs": "whole",
    "epochs_run": "whole",
    "followup_epochs_run": "whole",
    "capped": "truth",
    "failure": "text",
    "seconds": "number",
    "commit": "text",
    "device": "text",
}
TRIALS: dict[str, Kind] = {
    **NAMES,
    "search_repeat": "whole",
    "trial": "whole",
    "folds": "whole",
    "failed_folds": "whole",
    "map_at_r": "number",
    "raced_out": "truth",
    "best": "truth",
    "seconds": "number",
}
CURVES: dict[str, Kind] = {
    **RUN,
    "phase": "text",
    "epoch": "whole",
    "training_loss": "number",
    "gradient_norm": "number",
    "update_norm": "number",
    "map_at_r": "number",
}
CLASSES: dict[str, Kind] = {**RUN, "class_number": "whole", "queries": "whole"}


@dataclass(frozen=True)
class Rows:
    """Rows of like things by column: what kind of value it holds, and its values row by row."""

    kinds: Mapping[str, Kind]
    values: Mapping[str, Sequence[Any]]


def rows_of(known: Mapping[str, Kind], lines: Sequence[Mapping[str, Any]]) -> Rows:
    """Rows with the `known` columns first, then what else the lines hold, the params last.

    Another column is of numbers where all its values are, of truths where all are, else of texts.
    """
    others = dict.fromkeys(name for line in lines for name in line if name not in known)
    ordered = sorted(others, key=lambda name: name.startswith(PARAM))
    values = {name: [line.get(name) for line in lines] for name in (*known, *ordered)}
    kinds: dict[str, Kind] = dict(known)
    for name in ordered:
        kinds[name] = _kind_of(values[name])
        if kinds[name] == "text":
            values[name] = [None if v is None else _text(v) for v in values[name]]
    return Rows(kinds, values)


def runs(study: Study, dataset: str, records: Mapping[str, Sequence[Record]]) -> list[Line]:
    """A line for every record: who it is, how it ended, its scores, diagnostics and params."""
    lines: list[Line] = []
    for record in _every(records):
        epochs_run = record.epochs_run or (None, None)
        line = _names(study, dataset, record)
        line |= {
            "seed": record.seed,
            "epochs": record.epochs[0],
            "followup_epochs": record.epochs[1],
            "epochs_run": epochs_run[0],
            "followup_epochs_run": epochs_run[1],
            "capped": record.capped,
            "failure": record.failure,
            "seconds": record.seconds,
            "commit": commit_of(record.provenance) if "commit" in record.provenance else None,
            "device": record.provenance.get("device"),
        }
        lines.append(line | {**record.scores, **(record.diagnostics or {})} | _params(record))
    return lines


def trials_with_scores(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]]
) -> list[Line]:
    """A line for every trial of every search: its folds, its mean held-out MAP@R, its params.

    Without a score while folds are missing, and where one has failed. The score of a trial that is
    out of a race (`raced_out`) is an estimate. `best` marks the trial behind the final runs.
    """
    lines: list[Line] = []
    for loss, of_loss in records.items():
        own = study.for_loss(loss)
        for number, of_search in enumerate(trials.records_by_search(own, of_loss)):
            by_trial = trials.fold_records(of_search, search_repeat=number, stage=own.trial_stage)
            finished = trials.trials_of(own, of_search, search_repeat=number)
            winner = trials.winner_among(own, loss, finished)
            for trial, folds in sorted(by_trial.items()):
                of_trial = list(folds.values())
                line: Line = {
                    "study": study.name,
                    "dataset": dataset,
                    "loss": loss,
                    "search_repeat": number,
                    "trial": trial,
                    "folds": len(of_trial),
                    "failed_folds": sum(record.failure is not None for record in of_trial),
                    "map_at_r": finished[trial].score if trial in finished else None,
                    "raced_out": trial in finished and finished[trial].raced_out,
                    "best": trial == winner,
                    "seconds": sum(record.seconds for record in of_trial),
                }
                lines.append(line | _params(of_trial[0]))
    return lines


def curves(study: Study, dataset: str, records: Mapping[str, Sequence[Record]]) -> list[Line]:
    """A line for every epoch of every run, from records that were read with their curves.

    What the study adds to its curve has a column of its own; lists by class are left out.
    """
    lines: list[Line] = []
    for record in _every(records):
        names = _names(study, dataset, record)
        for entry in record.curve:
            values = {
                "training_loss" if name == "loss" else name: value
                for name, value in entry.items()
                if not isinstance(value, Sequence) or isinstance(value, str)
            }
            lines.append(names | values)
    return lines


def classes(study: Study, dataset: str, records: Mapping[str, Sequence[Record]]) -> list[Line]:
    """A line for every test class of every final run: its queries, and its mean scores over them.

    `class_number` counts from 0 over the test classes that have queries, in the order of their
    labels. Records of more than BY_CLASS test classes hold no such scores, and have no lines.
    """
    lines: list[Line] = []
    for record in _every(records):
        if record.by_class is None:
            continue
        names = _names(study, dataset, record)
        sums = {name: values for name, values in record.by_class.items() if name != "queries"}
        for number, queries in enumerate(record.by_class["queries"]):
            line = names | {"class_number": number, "queries": int(queries)}
            lines.append(line | {name: values[number] / queries for name, values in sums.items()})
    return lines


def _every(records: Mapping[str, Sequence[Record]]) -> Iterable[Record]:
    return (record for of_loss in records.values() for record in of_loss)


def _names(study: Study, dataset: str, record: Record) -> Line:
    """What tells a record apart; the dataset by the name that tables give it."""
    names = {name: getattr(record, name) for name in RUN}
    return names | {"study": study.name, "dataset": dataset}


def _params(record: Record) -> Line:
    return {f"{PARAM}{name}": value for name, value in record.params.items()}


def _kind_of(values: Sequence[Any]) -> Kind:
    there = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in there) and there:
        return "truth"
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        return "number"
    return "text"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
