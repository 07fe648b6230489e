"""What loss files declare and what a study searches of them, as rows of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.schema import Study

# What the STATUS of a loss file says the implementation equals.
STATUS = {
    "authors": "equal to the authors' released code",
    "library": "as the field's common library defines it (no authors' code)",
    "paper": "from the paper's definition (no code released, or not established)",
    "own": "somebody's own, unpublished",
}


def importable(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The losses whose files can be imported and say all of themselves, and why the others not."""
    from harness.schema import Problem
    from harness.training.loss_files import declared

    whole, faults = [], []
    for name in names:
        try:
            declared(name)
        except Problem as problem:
            faults.append(str(problem))
        else:
            whole.append(name)
    return whole, faults


def searched_in(study: Study, loss: ModuleType) -> list[str]:
    """What a study searches for a loss, learning rates included, by the names of records."""
    from harness.protocol import search

    norms = loss.REFERENCE_NORM.values()
    return list(search.space_of(study, loss, max(norms, default=1.0)))


def row(name: str, study: Study) -> dict[str, Any]:
    """What a loss file declares, and what a study searches of it, under the keys of --json."""
    from harness.protocol import search
    from harness.training.loss_files import declared

    loss = declared(name)
    searched = searched_in(study, loss)
    by_dataset = {
        dataset: len(searched_in(study.for_dataset(dataset), loss)) for dataset in study.per_dataset
    }
    return {
        "name": name,
        "year": loss.YEAR,
        "kind": loss.KIND,
        "embedding": loss.EMBEDDING,
        "retrieval": loss.RETRIEVAL,
        "own_parameters": loss.OWN_PARAMETERS,
        "searched": list(loss.SPACE),
        "study": study.name,
        "searched_in_study": searched,
        "dimensions": len(searched),
        "dimensions_on": {on: n for on, n in by_dataset.items() if n != len(searched)},
        "fixed_in_study": search.fixed_params(study, name),
        "ranges_in_study": dict(study.loss_ranges.get(name, {})),
        "images_per_class": loss.MIN_IMAGES_PER_CLASS,
        "cost": loss.COST,
        "status": loss.STATUS,
        "in_study": name in study.losses,
        "paper": loss.PAPER,
    }


def dimensions(loss: Mapping[str, Any]) -> str:
    """How many dimensions a row's loss has in the study, and on which datasets others."""
    others = ", ".join(f"{on} {n}" for on, n in loss["dimensions_on"].items())
    return f"{loss['dimensions']} ({others})" if others else str(loss["dimensions"])
