"""The checkout is the product: what stands beside the code agrees with it; no wheel is built."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from harness import __version__

ROOT = Path(__file__).resolve().parent.parent
CHECKS = ("python -m ruff check", "python -m ruff format --check", "python -m mypy")


@pytest.mark.parametrize("hook", ["build_wheel", "build_sdist", "build_editable"])
def test_pip_is_refused_with_what_to_do_instead(hook, monkeypatch):
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    monkeypatch.syspath_prepend(str(ROOT / build["backend-path"][0]))
    backend = importlib.import_module(build["build-backend"])
    with pytest.raises(SystemExit, match=r"runs from its checkout.*pip install -r requirements"):
        getattr(backend, hook)("dist")


def test_the_citation_is_of_this_version():
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text().splitlines()


@pytest.mark.parametrize("command", CHECKS)
@pytest.mark.parametrize("file", [".ci/run", ".pre-commit-config.yaml", "CONTRIBUTING.md"])
def test_the_same_checks_run_in_ci_before_a_commit_and_by_hand(command, file):
    text = (ROOT / file).read_text().replace(" --force-exclude", "")
    assert command in text


PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("losses/*.md"),
    *ROOT.glob("results/*.md"),
    *ROOT.glob("results/published/**/*.md"),
    *ROOT.glob("results/reference/**/*.md"),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_into_the_checkout_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_is_short_and_leads_to_the_rest():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    for name in ("CONTRIBUTING.md", "LICENSE", "NOTICE", "CITATION.cff", "CHANGELOG.md"):
        assert f"({name})" in text
        assert (ROOT / name).is_file()
