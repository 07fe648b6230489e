"""Why records of a results folder do not derive, with what explains it where code has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.protocol import derive, search
from harness.records import code, folder, provenance
from harness.records.records import ALTERED, Lines
from harness.schema import BASELINES, RULES, Record, Study

CHANGED = "changed since:"


def reasons(description: Mapping[str, Any], loss: str, contents: Lines) -> dict[int, str]:
    """Position -> why a record is not believed, with every proposal made again."""
    study = folder.study_of(description)
    study = study.for_loss(loss)
    origin = derive.Origin(study, description["dataset"], loss, description["fingerprint"])
    space, base = space_of(study, loss), study.base_of(loss)
    if space is None:
        missing = f"there is no losses/{base}.py, so its proposals cannot be made again"
        return dict.fromkeys(range(len(contents.records)), missing)
    underivable = derive.underivable(origin, contents.records, space)
    underivable |= dict.fromkeys(contents.altered, ALTERED)
    return {
        place: f"{reason}{_explanation(contents.records[place], base, study.rules)}"
        for place, reason in sorted(underivable.items())
    }


def space_of(study: Study, loss: str) -> search.Space | None:
    """The search space of a loss or variant in a study; None where the loss has no file."""
    from harness.training import search_space

    if loss in BASELINES:
        return {}
    try:
        return search_space.of_loss(study, loss)
    except ModuleNotFoundError:
        return None


def _explanation(record: Record, loss: str, rules: int) -> str:
    """What changed since the record was made that may be why it does not derive; often nothing.

    `rules` are those of its study.
    """
    made_by = record.provenance
    now: dict[str, tuple[object, object]] = {
        "the rules of training": (rules, RULES),
        "the code of the loss": (
            code.loss_code_behind(made_by, loss),
            code.loss_code(loss),
        ),
        "optuna": (
            made_by.get("versions", {}).get("optuna"),
            provenance.package_versions().get("optuna"),
        ),
    }
    changes = [
        f"{name} {CHANGED} {before} -> {present}"
        for name, (before, present) in now.items()
        if before is not None and before != present
    ]
    return f" ({'; '.join(changes)})" if changes else ""
