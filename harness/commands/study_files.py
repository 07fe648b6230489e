"""The study of a file in studies/, checked against the losses that it names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.schema import Study


def load_study(name: str) -> Study:
    """The study of a file in studies/; a Problem if there is none, or if the file is wrong."""
    from harness.schema import Problem, Study

    shared.known("study", name, shared.names_in("studies"))
    try:
        study = importlib.import_module(f"studies.{name}").STUDY
    except Problem:
        raise
    except Exception as error:
        raise Problem(
            f"studies/{name}.py cannot be read: {type(error).__name__}: {error}; it must define "
            "STUDY = Study(...) with fields of harness/schema.py"
        ) from None
    if not isinstance(study, Study) or study.name != name:
        raise Problem(f"studies/{name}.py: STUDY must be a Study(name={name!r}, ...)")
    if study.loss_params or study.loss_ranges or study.per_dataset:
        from harness.commands import loss_settings

        loss_settings.check(study)
    return study
