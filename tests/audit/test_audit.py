"""The audit of 2408.15656 as a whole, against counts done by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import scipy.stats

from harness.audit import audit
from harness.schema import Problem
from tests.audit.builders import WARPED, only


def welch_by_hand(a, b):
    """Gap and p-value of two printed rows with 95 % intervals over ten runs."""
    t = scipy.stats.t.ppf(0.975, 9)
    (mean_a, std_a), (mean_b, std_b) = (
        (float(row["value"]), float(row["spread"]) * math.sqrt(10) / t) for row in (a, b)
    )
    test = scipy.stats.ttest_ind_from_stats(mean_a, std_a, 10, mean_b, std_b, 10, equal_var=False)
    return mean_a - mean_b, test.pvalue


def rejected_by_holm(p_values):
    """Indices of the p-values at or below 0.05 after Holm's correction."""
    rejected = set()
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for step, i in enumerate(order):
        if p_values[i] > 0.05 / (len(p_values) - step):
            break
        rejected.add(i)
    return rejected


def test_warped_beats_proxy_nca_pp_in_24_of_27_cells_and_fewer_separably(findings, rows):
    cells = {}
    for row in rows:
        if row["arxiv"] == WARPED and row["table"] in ("VI", "VII", "VIII"):
            key = (row["dataset"], row["category"], row["metric"])
            cells.setdefault(key, {})[row["method"]] = row
    assert len(cells) == 27
    tests = [welch_by_hand(cell["warped"], cell["proxy_nca_pp"]) for cell in cells.values()]
    gaps, p_values = zip(*tests, strict=True)
    rejected = rejected_by_holm(p_values)
    before = [sum(p_values[i] <= 0.05 and s * gaps[i] > 0 for i in range(27)) for s in (1, -1)]
    after = [sum(i in rejected and s * gaps[i] > 0 for i in range(27)) for s in (1, -1)]

    subject = "warp24.beats_proxy_nca_pp.24_of_27"
    paper = only(findings, "on paper", subject)
    assert paper.verdict == "supported"
    assert [c["outcome"] for c in paper.numbers["cells"]].count(1) == 24 == sum(g > 0 for g in gaps)
    separable = only(findings, "separable", subject)
    outcomes = [c["outcome"] for c in separable.numbers["cells"]]
    assert [outcomes.count(1), outcomes.count(-1)] == after
    raw = [c["p_value"] <= 0.05 and c["gap"] > 0 for c in separable.numbers["cells"]]
    assert sum(raw) == before[0]
    assert after[0] < 24
    assert separable.verdict == "not supported"
    assert f"before: {before[0]} ahead, {before[1]} behind" in separable.reason


def test_complete_beats_aggregate_is_contradicted_by_proxy_anchor_on_sop(findings):
    finding = only(findings, "on paper", "warp24.complete_beats_aggregate")
    assert finding.verdict == "contradicted"
    lost = {(c["a"], c["dataset"]) for c in finding.numbers["cells"] if c["outcome"] == -1}
    assert lost == {("proxy_anchor", "sop")}
    assert "MAP@R proxy_anchor (-8.56)" in finding.reason


def test_the_suspicious_spreads_and_the_collapse_are_flagged_and_nothing_else(findings):
    reasons = {
        finding.subject: finding.reason
        for finding in findings
        if finding.check == "on paper"
        and finding.about == "claim"
        and finding.verdict != "consistent"
    }

    def of(*parts):
        return [
            reason for subject, reason in reasons.items() if all(part in subject for part in parts)
        ]

    anchor = of(".proxy_anchor.sop.", ".complete.")
    assert len(anchor) == 3
    assert all("neighbours in the column" in r and "of 10 near" in r for r in anchor)
    multi_similarity = of(".multi_similarity.cars.", ".complete.")
    assert len(multi_similarity) == 3
    assert all("every run collapsed" in r for r in multi_similarity)
    arcface = of(".arcface.sop.MAP@R")
    assert len(arcface) == 1
    assert "± 0.02 is 1/8 of the median ± 0.16" in arcface[0]
    faces = [r for s, r in reasons.items() if s.split(".")[3] in ("lfw", "calfw", "cplfw")]
    printed = "repo Face-Recognition/training.log (peak) prints 99.8 for the same"
    assert any(printed in r for r in faces)
    assert len(reasons) == 7 + 10  # five face sets, in Table V and in the log


def test_best_on_cub_is_contradicted_by_the_cells_that_the_table_prints(findings):
    small = only(findings, "on paper", "warp24.best_on_cub.test.small")
    assert small.verdict == "contradicted"
    assert "R@4 warped to contextual (-0.10)" in small.reason
    assert only(findings, "on paper", "warp24.best_on_cub.val.224").verdict == "supported"


def test_re_runs_of_hist_on_cub_disagree_with_one_another(findings):
    finding = only(findings, "literature", "hist cub single R@1 resnet50 512")
    assert finding.verdict == "disputed"
    assert "70 to 72.3" in finding.reason
    assert "ReScience C" in finding.reason.partition("re-run by")[2]


def test_every_claim_and_statement_has_its_findings(findings, published, statements):
    ids = sorted(claim.claim_id for claim in published if claim.arxiv == WARPED)
    for check in ("on paper", "other documents", "our evidence"):
        assert sorted(f.subject for f in findings if f.check == check and f.about == "claim") == ids
    for statement in statements:
        checks = [f.check for f in findings if f.subject == statement.statement_id]
        wanted = ["on paper", "separable", "comparability", "our evidence"]
        assert checks == (wanted if statement.arxiv == WARPED else [])


def test_an_unknown_paper_is_answered_with_the_known_ones(published, statements):
    with pytest.raises(Problem, match=r"did you mean '2408.15656'.*2003.08505"):
        audit.subjects_of_paper("2408.15655", published, statements)


def test_a_paper_is_named_by_its_claims_or_by_words_of_its_title(published, statements):
    titles = audit.titles_of("mlrc20", published, statements)
    assert titles == {"A Metric Learning Reality Check"}
    assert len(audit.titles_of("proxy anchor loss", published, statements)) == 1


def test_the_audit_imports_no_torch():
    code = (
        "import sys, harness.audit.audit\n"
        "print([m for m in ('torch', 'optuna') if m in sys.modules])"
    )
    python = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (python.returncode, python.stdout.strip()) == (0, "[]"), python.stderr
