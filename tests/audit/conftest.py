"""The files of results/published, read once, and the audit of one paper without our records."""

from __future__ import annotations

import csv

import pytest

from harness.audit import audit, claims_file
from harness.audit import settings as settings_files
from harness.audit import statements as statements_file
from tests.audit.builders import PUBLISHED, WARPED


@pytest.fixture(scope="session")
def published():
    return claims_file.read(PUBLISHED / "claims.csv").claims


@pytest.fixture(scope="session")
def rows():
    """The claims file by the csv module alone."""
    with (PUBLISHED / "claims.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="session")
def statements():
    return statements_file.read(PUBLISHED / "statements.json").statements


@pytest.fixture(scope="session")
def facts():
    return settings_files.read_facts(PUBLISHED / "code_facts.csv") + (
        settings_files.read_unfair_comparisons(PUBLISHED / "unfair_comparisons.csv")
    )


@pytest.fixture(scope="session")
def findings(published, statements, facts):
    """What the audit finds in 2408.15656."""
    effects = settings_files.read_effects(PUBLISHED / "known_effects.csv")
    subjects = audit.subjects_of_paper(WARPED, published, statements)
    return audit.findings(
        published, statements, {}, subjects=subjects, facts=facts, effects=effects
    )
