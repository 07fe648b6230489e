"""The study of a file in studies/, checked against the losses and the datasets that it meets."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.schema import Demonstration, Study


def load_study(name: str) -> Study:
    """The study of a file in studies/; a Problem if there is none, or if the file is wrong."""
    from harness.schema import Demonstration, Problem

    study = load(name)
    if isinstance(study, Demonstration):
        raise Problem(
            f"the study {name!r} compares no losses and keeps no records; see what it shows: "
            f"python -m harness study --study {name}"
        )
    return study


def load(name: str) -> Study | Demonstration:
    """As load_study, and the demonstrations too."""
    from harness.schema import Demonstration

    study = declared(name)
    if isinstance(study, Demonstration):
        return study
    if study.loss_params or study.loss_ranges or study.per_dataset or study.variants:
        from harness.commands import loss_settings

        loss_settings.check(study)
    return study


def declared(name: str) -> Study | Demonstration:
    """As load, not yet checked against the losses, which takes torch."""
    from harness.schema import Demonstration, Problem, Study

    shared.known("study", name, shared.names_in("studies"))
    try:
        study = importlib.import_module(f"studies.{name}").STUDY
    except Problem:
        raise
    except Exception as error:
        raise Problem(
            f"studies/{name}.py cannot be read: {type(error).__name__}: {error};"
            f"{_field_meant(error)} it must define STUDY = Study(...) with fields of "
            "harness/schema/study.py"
        ) from None
    if not isinstance(study, (Study, Demonstration)) or study.name != name:
        raise Problem(f"studies/{name}.py: STUDY must be a Study(name={name!r}, ...)")
    return study


def _field_meant(error: Exception) -> str:
    """The question which field of a study was meant, where a file gives one that there is not."""
    from harness.schema import Study, meant

    given = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    return meant(given[1], [field.name for field in dataclasses.fields(Study)]) if given else ""


def check_trunk(options: argparse.Namespace, dataset_names: Sequence[str]) -> None:
    """A Problem where a trunk or weights are given for features that a file holds already."""
    from harness.data import named_options
    from harness.schema import Problem

    for name in dataset_names:
        given = [f"--{what}" for what in ("trunk", "weights") if getattr(options, what) is not None]
        if given and named_options.read(name).kind == "features":
            raise Problem(
                f"{' and '.join(given)} with {name}: its features are computed already; leave it "
                "out, or compute others with `python -m harness features`"
            )
