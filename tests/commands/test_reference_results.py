"""The records committed under results/reference: derivable, and whole or said to be under way."""

from __future__ import annotations

import json
import re

import pytest

from harness import cli
from harness.files import CHECKOUT
from harness.schema import BASELINES
from tests.made import call
from tests.report import sheets

REFERENCE = CHECKOUT / "results" / "reference"
FOLDERS = sorted({path.parents[2] for path in REFERENCE.glob("*/*/*/study.json")})


def test_records_are_committed():
    assert [folder.name for folder in FOLDERS] == [
        "batch_size",
        "check",
        "convergence",
        "demo",
        "face_verification",
        "fifty",
        "function_ablation",
        "imbalance",
        "main_tables",
        "mlrc",
        "newer",
        "nir",
        "noise_robustness",
        "optimism",
        "searches",
        "warp_impact",
    ]


@pytest.mark.parametrize("study", ["demo", pytest.param("check", marks=pytest.mark.slow)])
def test_the_reference_reports_show_the_tables_of_their_records(monkeypatch, study):
    monkeypatch.chdir(CHECKOUT)
    page = sheets.parse((REFERENCE / study / "report.html").read_text(encoding="utf-8"))
    (shown,) = page.all("pre", id="s0-csv")
    words = ("table", "--results", f"results/reference/{study}", "--study", study)
    assert shown.text == call(*words, "--format", "csv")[1]


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_nothing_is_wrong_with_them_but_that_a_study_is_under_way(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    findings = [line for line in lines[:-1] if not line.startswith("  ->")]
    assert all(": INCOMPLETE: search " in line for line in findings), findings
    assert (ended.value.code or 0) == (1 if findings else 0)
    assert re.search(r" records in [12] folders checked: ", lines[-1])


@pytest.mark.slow
def test_the_counts_of_the_checks_page_are_those_of_its_records():
    page = " ".join((REFERENCE / "check" / "README.md").read_text(encoding="utf-8").split())
    words = ("--results", REFERENCE / "check", "--study", "check", "--json")
    rows = json.loads(call("table", *words)[1])["rows"]
    cells = {
        row["loss"]: cell
        for row in rows
        for cell in row["cells"]
        if (cell["category"], cell["metric"]) == ("ensemble", "map_at_r")
    }
    lda = cells["lda"]["mean"]
    losses = [cell for loss, cell in cells.items() if loss not in BASELINES]
    means = sum(cell["mean"] < lda for cell in losses)
    whole = sum(cell["mean"] + cell["ci95"] < lda for cell in losses)
    assert f"above the mean of {means} of the {len(losses)} losses" in page
    assert f"losses and the whole interval of {whole}" in page
    searched = {path.name.partition(".")[0] for path in REFERENCE.glob("searches/*/*/*.jsonl.xz")}
    pairs = json.loads(call("compare", *words, "--category", "ensemble")[1])["pairs"]
    among = [pair for pair in pairs if {pair["a"], pair["b"]} <= searched]
    apart = sum(pair["p_holm"] <= 0.05 for pair in among)
    assert f"apart in Ensemble if asked about these five alone, and {apart} among all" in page
    assert len(among) == 10
