"""Commands that start no run: they import nothing heavy, and print what they read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import harness
from harness.cli import COMMANDS
from harness.commands import options
from harness.records import folder, records
from tests.made import STUDY, call, images, scored

ROOT = Path(__file__).resolve().parents[2]


def imported_by(*words: object) -> set[str]:
    """Names of the packages that a command has imported when it ends well."""
    program = (
        "import sys; from harness.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "print(*sys.modules, file=sys.stderr)\n"
        "sys.exit(code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout
    return set(process.stderr.split())


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy(words):
    heavy = {"torch", "numpy", "optuna", "rich", "scipy", "matplotlib", "sqlalchemy"}
    assert not heavy & imported_by(*words, "--help")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Records of a finished study with two losses."""
    results = tmp_path_factory.mktemp("results")
    where = folder.folder_of(results, STUDY.name, "glyphs")
    folder.create(where)
    folder.admit(where, folder.describe(STUDY, "glyphs", "glyphs", "abc"))
    for loss, scores in {"contrastive": (0.5, 0.6, 0.7), "triplet": (0.4, 0.6, 0.6)}.items():
        for record in scored(loss, scores, dataset="glyphs"):
            records.append(where / f"{loss}.jsonl", record)
    return results


@pytest.mark.parametrize("command", ["table", "compare", "status", "audit"])
def test_commands_that_only_read_records_import_no_torch(results, command):
    heavy = {"torch", "torchvision", "pandas", "rich", "matplotlib", "sqlalchemy"}
    assert not heavy & imported_by(command, "--results", results)


def test_the_version_is_that_of_the_package_and_of_its_build():
    assert re.fullmatch(
        rf"harness {re.escape(harness.__version__)} "
        r"\((commit [0-9a-f]{40}(, with changes that are not committed)?"
        r"|content [0-9a-f]{12} \(.+\))\)\n",
        call("--version")[1],
    )
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "harness.__version__"}


def test_every_loss_has_a_row_and_a_page():
    code, out, _ = call("losses")
    names = options.names_in("losses")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[2:-2]] == names
    rows = json.loads(call("losses", "--json")[1])
    assert [row["name"] for row in rows] == names
    for row in rows:
        page = call("losses", row["name"])[1]
        assert page.startswith(f"{row['name']}\n")
        assert f"paper: {row['paper']}\n" in page
        assert all(f"\n  {name}: " in page for name in row["searched"])


def test_data_lists_every_dataset_and_verifies_and_caches_a_folder(tmp_path):
    tiny = images(tmp_path / "tiny")
    listing = call("data", "list", "--data", tmp_path)[1]
    assert "cub: 11,788 images, 200 classes; " in listing
    assert "folder:PATH: " in listing
    code, out, _ = call("data", "verify", f"folder:{tiny}", "--data", tmp_path)
    assert code == 0
    assert "16 classes, how many there should be is not known; every file opens" in out
    code, out, _ = call("data", "cache", f"folder:{tiny}", "--resize", 32, "--data", tmp_path)
    assert (code, "64 images cached, fingerprint " in out) == (0, True)


def test_compare_prints_pairs_as_text_csv_or_json_and_says_why_there_are_no_ranks(
    results, tmp_path
):
    reason = "ranks need at least 2 datasets, there are records of 1"
    for form in ("markdown", "csv"):
        code, out, _ = call("compare", "--results", results, "--format", form)
        assert code == 0
        assert f"No ranks: {reason}." in out
    data = json.loads(call("compare", "--results", results, "--json")[1])
    assert [(pair["a"], pair["b"]) for pair in data["pairs"]] == [("contrastive", "triplet")]
    assert (data["ranks"], data["ranks_caption"]) == ([], reason)
    forest = tmp_path / "pairs.svg"
    assert call("compare", "--results", results, "--figure", forest)[0] == 0
    assert forest.read_text().startswith("<?xml")
