"""The audit on the published claims, on made-up claims, and against counts done by hand."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import audit, check_evidence, check_literature, check_paper, check_statements
from harness.audit import claims as claims_of
from harness.audit import findings as findings_of
from harness.audit import settings as conditions_of_claims
from harness.audit import statements as statements_of
from harness.audit.check_evidence import Evidence
from harness.audit.claims import Claim
from harness.audit.statements import Side
from harness.schema import Problem, Study
from tests import made as shared

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
WARPED = "2408.15656"
EQUAL = {"trunk": "resnet50", "dim": "512", "tuned_on": "cv4"}


@pytest.fixture(scope="module")
def published():
    return claims_of.read(PUBLISHED / "claims.csv")


@pytest.fixture(scope="module")
def said():
    return statements_of.read(PUBLISHED / "statements.json")


@pytest.fixture(scope="module")
def facts():
    return conditions_of_claims.read_facts(PUBLISHED / "code_facts.csv") + (
        conditions_of_claims.read_unfair(PUBLISHED / "unfair_comparisons.csv")
    )


@pytest.fixture(scope="module")
def found(published, said, facts):
    effects = conditions_of_claims.read_effects(PUBLISHED / "known_effects.csv")
    return audit.findings(published, said, {}, WARPED, facts, effects)


@pytest.fixture(scope="module")
def rows():
    """The claims file by the csv module alone."""
    with (PUBLISHED / "claims.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def only(found, check, subject):
    hits = [f for f in found if f.check == check and f.subject == subject]
    assert len(hits) == 1, [f.subject for f in hits]
    return hits[0]


def made(**told):
    base = {"claim_id": "x", "paper": "p", "method": "a", "dataset": "cub", "metric": "R@1"}
    base |= {"value": 50.0, "table": "1", "reported_by": "own"}
    given_id = ".".join(str(v) for v in told.values())
    return Claim(**{**base, "claim_id": given_id, **told})


# What the audit of 2408.15656 must find


def test_warped_beats_proxy_nca_pp_in_24_of_27_cells_and_fewer_separably(found, rows):
    cells = {}
    for row in rows:
        if row["arxiv"] == WARPED and row["table"] in ("VI", "VII", "VIII"):
            key = (row["dataset"], row["category"], row["metric"])
            cells.setdefault(key, {})[row["method"]] = row
    assert len(cells) == 27
    gaps, p = [], []
    t = scipy.stats.t.ppf(0.975, 9)
    for cell in cells.values():
        a, b = cell["warped"], cell["proxy_nca_pp"]
        stds = [float(x["spread"]) * math.sqrt(10) / t for x in (a, b)]
        values = [float(x["value"]) for x in (a, b)]
        test = scipy.stats.ttest_ind_from_stats(
            values[0], stds[0], 10, values[1], stds[1], 10, equal_var=False
        )
        gaps.append(values[0] - values[1])
        p.append(test.pvalue)
    order = sorted(range(27), key=lambda i: p[i])
    rejected = set()
    for step, i in enumerate(order):
        if p[i] > 0.05 / (27 - step):
            break
        rejected.add(i)
    before = [sum(p[i] <= 0.05 and s * gaps[i] > 0 for i in range(27)) for s in (1, -1)]
    after = [sum(i in rejected and s * gaps[i] > 0 for i in range(27)) for s in (1, -1)]
    subject = "warp24.beats_proxy_nca_pp.24_of_27"
    paper = only(found, "on paper", subject)
    assert paper.verdict == "supported"
    assert [c["outcome"] for c in paper.numbers["cells"]].count(1) == 24 == sum(g > 0 for g in gaps)
    separable = only(found, "separable", subject)
    outcomes = [c["outcome"] for c in separable.numbers["cells"]]
    assert [outcomes.count(1), outcomes.count(-1)] == after
    raw = [c["p_value"] <= 0.05 and c["gap"] > 0 for c in separable.numbers["cells"]]
    assert sum(raw) == before[0]
    assert after[0] < 24
    assert separable.verdict == "not supported"
    assert f"before: {before[0]} ahead, {before[1]} behind" in separable.reason


def test_complete_beats_aggregate_is_contradicted_by_proxy_anchor_on_sop(found):
    finding = only(found, "on paper", "warp24.complete_beats_aggregate")
    assert finding.verdict == "contradicted"
    lost = {(c["a"], c["dataset"]) for c in finding.numbers["cells"] if c["outcome"] == -1}
    assert lost == {("proxy_anchor", "sop")}
    assert "MAP@R proxy_anchor (-8.56)" in finding.reason


def test_the_suspicious_spreads_and_the_collapse_are_found_and_nothing_else(found):
    odd = {f.subject: f.reason for f in found if f.check == "on paper" and f.about == "claim"
           and f.verdict != "consistent"}  # fmt: skip
    anchor = [r for s, r in odd.items() if ".proxy_anchor.sop." in s and ".complete." in s]
    assert len(anchor) == 3
    assert all("neighbours in the column" in r and "of 10 near" in r for r in anchor)
    multi = [r for s, r in odd.items() if ".multi_similarity.cars." in s and ".complete." in s]
    assert len(multi) == 3
    assert all("every run collapsed" in r for r in multi)
    arcface = [r for s, r in odd.items() if ".arcface.sop.MAP@R" in s]
    assert len(arcface) == 1
    assert "± 0.02 is 1/8 of the median ± 0.16" in arcface[0]
    faces = [r for s, r in odd.items() if s.split(".")[3] in ("lfw", "calfw", "cplfw")]
    assert any("repo Face-Recognition/training.log (peak) prints 99.8 for the same" in r
               for r in faces)  # fmt: skip
    assert len(odd) == 7 + 10  # five face sets, in Table V and in the log


def test_table_1_cells_under_unequal_settings_are_counted_as_by_hand(found, rows):
    def cells(column, clean, one, other):
        table = [r for r in rows if r["arxiv"] == WARPED and r["table"] == "I"]
        pairs = set()
        for own in (r for r in table if r["reported_by"] == "own"):
            for row in table:
                same = row["dataset"] == own["dataset"] and row["metric"] == own["metric"]
                values = {clean(row[column]), clean(own[column])}
                if same and row["method"] != own["method"] and values == {one, other}:
                    names = frozenset((row["method"], own["method"]))
                    pairs.add((row["dataset"], row["metric"], names))
        return len(pairs)

    tables = {f.numbers["unequal"]: f for f in found if f.about == "table"}
    for what, column, one, other in [
        ("tuned_on: test with val", "tuned_on", "test", "val"),
        ("dim: 512 with 64", "dim", "64", "512"),
        ("trunk: bn_inception with resnet50", "trunk", "bn_inception", "resnet50"),
    ]:
        finding = tables[what]
        assert finding.verdict == "not comparable"
        assert len(finding.numbers["cells"]) == cells(column, str, one, other) > 0
    assert "proxy_nca to warped (9 cells)" in tables["dim: 512 with 64"].reason


def test_a_gap_stands_beside_the_known_effects_of_its_unequal_settings(found):
    subject = "warp24.T1.proxy_nca.cub.R@1.bn_inception.64.single.test.small_unspecified"
    finding = only(found, "comparability", subject)
    assert finding.verdict == "not comparable"
    assert "warped 72.6 (gap +23.40)" in finding.reason
    assert "dim: 64 to 512, worth +8.3" in finding.reason
    assert "trunk: bn_inception to resnet50, worth +" in finding.reason


def test_best_on_cub_is_contradicted_by_the_cells_that_the_table_prints(found):
    small = only(found, "on paper", "warp24.best_on_cub.test.small")
    assert small.verdict == "contradicted"
    assert "R@4 warped to contextual (-0.10)" in small.reason
    assert only(found, "on paper", "warp24.best_on_cub.val.224").verdict == "supported"


def test_every_claim_and_statement_has_its_findings(found, published, said):
    mine = [c for c in published if c.arxiv == WARPED]
    for check in ("on paper", "our evidence"):
        subjects = [f.subject for f in found if f.check == check and f.about == "claim"]
        assert sorted(subjects) == sorted(c.claim_id for c in mine)
    for statement in said:
        checks = [f.check for f in found if f.subject == statement.statement_id]
        wanted = ["on paper", "separable", "comparability", "our evidence"]
        assert checks == (wanted if statement.arxiv == WARPED else [])


def test_the_eight_runs_that_do_not_give_their_printed_mean_are_named(published):
    found = check_paper.on_paper([c for c in published if c.runs])
    wrong = [f for f in found if f.verdict == "contradicted"]
    assert len(found) == 12
    assert [f.reason.split(";")[0] for f in wrong] == [
        "24.92 ± 0.35 (std, n = 8): the 8 printed runs average 24.959, not 24.92 "
        "(25.56 printed twice)"
    ]


def test_re_runs_of_hist_on_cub_disagree_with_one_another(found):
    finding = only(found, "literature", "hist cub single R@1 resnet50 512")
    assert finding.verdict == "suspicious"
    assert "70 to 72.3" in finding.reason
    assert "ReScience C" in finding.reason.partition("re-run by")[2]


# The data in results/published


def test_every_statement_of_a_paper_with_claims_finds_its_numbers(published, said):
    papers = {claim.arxiv for claim in published if claim.arxiv}
    for statement in said:
        pairs = statements_of.pairs(statement, published)
        assert pairs, statement.statement_id
        if statement.arxiv == WARPED:
            assert statement.arxiv in papers
            assert all(a.claim and b.claim for a, b in pairs)
        if statement.n:
            assert len(pairs) == statement.n


def test_every_number_keeps_its_source_and_known_words(rows):
    for row in rows:
        assert row["source"], row["claim_id"]
        assert row["evidence"] in ("primary", "secondary", "issue")
        assert row["reported_by"] in ("own", "quoted", "re-run", "unknown")
    assert len({row["claim_id"] for row in rows}) == len(rows) == 1404


def test_search_trajectories_never_fall(rows):
    with (PUBLISHED / "mlrc2020_search_trajectories.csv").open(newline="") as lines:
        searches = list(csv.DictReader(lines))
    assert len(searches) == 53
    for row in searches:
        columns = ("first_val_map_at_r", "val_at_10", "val_at_25", "best_val_map_at_r")
        values = [float(row[column]) for column in columns]
        assert values == sorted(values), row
        assert 1 <= int(row["best_trial"]) <= int(row["trials"]) == 50


def test_facts_of_methods_name_methods_that_have_claims(facts, published):
    methods = {claim.method for claim in published}
    assert {fact.method for fact in facts} <= methods
    assert {f.method for f in facts if f.fact == "best_test_epoch_kept"} >= {"hist", "proxy_anchor"}


# Reading


HEADER = "paper,method,dataset,metric,value,spread,spread_kind,n_runs\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper,metod,dataset,metric,value\n", "line 1: unknown column 'metod'; did you mean 'met"),
        ("paper,method,dataset,metric\n", "line 1: no column value"),
        (HEADER + "p,a,cub,R@1,50,,,\np,b,cub,R@1,150,,,\n", "line 3: value = 150 is out of range"),
        (HEADER + "p,a,cub,R@1,-1,,,\n", "line 2: value = -1 is out of range"),
        (HEADER + "p,a,cub,R@1,0.72,,,\n", "line 2: value = 0.72 looks like a share of 1"),
        (HEADER + "p,a,cub,R@1,lots,,,\n", "line 2: value = 'lots' is no number"),
        (HEADER + "p,a,cub,nan@R,5,,,\n", "line 2: unknown metric 'nan@R'"),
        (
            HEADER + "p,a,cub,R@1,50,,,\n\np,a,cub,R@1,51,,,\n",
            "line 4: the claim (a cub R@1) is on",
        ),
        (HEADER + "p,a,cub,R@1,50,0.2,,\n", "line 2: spread and spread_kind"),
        (HEADER + "p,a,cub,R@1,50,0.2,sem,5\n", "line 2: spread_kind = 'sem'; allowed"),
        (HEADER + "p,a,cub,R@1,50,0.2,std,0\n", "line 2: n_runs = '0'; a whole number"),
        (HEADER + "p,,cub,R@1,50,,,\n", "line 2: no method"),
        (HEADER + "p,a,cub,R@1,50,,,,7\n", "line 2: more fields than the header"),
    ],
)
def test_a_doubtful_file_of_claims_is_named_by_line(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(Problem) as problem:
        claims_of.read(path)
    assert str(problem.value).startswith("mine.csv, ")
    assert message in str(problem.value)


def test_every_bad_line_is_named_at_once_and_known_claims_are_repetitions(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "p,a,cub,R@1,500,,,\np,b,cub,R@0,50,,,\n")
    with pytest.raises(Problem, match=r"line 2: .*; line 3: unknown metric"):
        claims_of.read(path)
    path.write_text(HEADER + "p,a,cub,R@1,50,,,\n")
    mine = claims_of.read(path)
    with pytest.raises(Problem, match=r"line 2: the claim is p?.*already"):
        claims_of.read(path, mine)


def test_bibtex_and_csv_give_the_same_claims(tmp_path):
    bib, table = tmp_path / "mine.bib", tmp_path / "mine.csv"
    bib.write_text(
        "@comment{x, claims = {no}}\n@article{doe2026, title = {A {Loss}}, year = 2026,\n"
        '  eprint = "2601.00001", claims = {\n'
        "    warped cub map_at_r 26.5 spread=0.2 spread_kind=ci95 n_runs=10 dim=512\n"
        "    warped cars R@1 91.2\n  }}\n@misc{other, title={Nothing}}\n"
    )
    table.write_text(
        "claim_id,paper,paper_year,arxiv,method,dataset,metric,value,spread,spread_kind,n_runs,dim\n"
        "doe2026.line4,A Loss,2026,2601.00001,warped,cub,MAP@R,26.5,0.2,ci95,10,512\n"
        "doe2026.line5,A Loss,2026,2601.00001,warped,cars,R@1,91.2,,,,\n"
    )
    ours = [dataclasses.replace(c, line=0) for c in claims_of.read(bib)]
    assert ours == [dataclasses.replace(c, line=0) for c in claims_of.read(table)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@article{k, title = {T}}", "no entry has a field `claims`"),
        ("@article{k, claims = {\nwarped cub R@1}}", "line 2: 'warped cub R@1'; a claim is"),
        ("@article{k, claims = {\nwarped cub R@1 5 dims=5}}", "line 2: unknown column 'dims'"),
        ("@article{k,\n claims = {warped cub R@1 50", "line 2: a value that never ends"),
        ("@article{k,\n title {T}}", "line 1: cannot read the BibTeX entry"),
        ("@article{k, claims = {warped cub R@1 500}}", "line 1: value = 500 is out of range"),
    ],
)
def test_a_doubtful_bibtex_file_is_named_by_line(tmp_path, text, message):
    path = tmp_path / "mine.bib"
    path.write_text(text)
    with pytest.raises(Problem) as problem:
        claims_of.read(path)
    assert message in str(problem.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "wins"}, "kind = 'wins'; allowed: beats,"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"said": ""}, "no said"),
        ({"a": {"metod": "x"}}, "unknown column 'metod'"),
        ({"kind": "beats_in"}, "needs k"),
    ],
)
def test_a_doubtful_statement_is_named(tmp_path, change, message):
    good = {"statement_id": "s", "paper": "p", "said": "x", "where_said": "y", "kind": "beats"}
    path = tmp_path / "statements.json"
    path.write_text(json.dumps([good | change]))
    with pytest.raises(Problem, match=r"statements.json, statement 1") as problem:
        statements_of.read(path)
    assert message in str(problem.value)
    path.write_text(json.dumps([good, good]))
    with pytest.raises(Problem, match="two statements are called 's'"):
        statements_of.read(path)
    path.write_text("[\n{,")
    with pytest.raises(Problem, match="line 2: no valid JSON"):
        statements_of.read(path)


def test_an_unknown_paper_is_answered_with_the_known_ones(published, said):
    with pytest.raises(Problem, match=r"did you mean '2408.15656'.*2003.08505"):
        audit.findings(published, said, {}, "2408.15655")
    assert audit.of_paper("mlrc20", published, said) == {"A Metric Learning Reality Check"}
    assert len(audit.of_paper("proxy anchor loss", published, said)) == 1


# Claims alone


@settings(deadline=None)
@given(st.lists(st.floats(1, 100), min_size=4, max_size=4))
def test_rows_in_order_raise_no_doubt_and_any_swap_of_recalls_does(values):
    low = sorted(values)
    names = ["R@1", "R@2", "R@4", "R@8"]
    good = [made(metric=m, value=v) for m, v in zip(names, low, strict=True)]
    assert {f.verdict for f in check_paper.on_paper(good)} == {"consistent"}
    if low[1] < low[2]:
        bad = [made(metric=m, value=v) for m, v in zip(names, [low[0], low[2], low[1], low[3]],
                                                       strict=True)]  # fmt: skip
        verdicts = [f.verdict for f in check_paper.on_paper(bad)]
        assert verdicts[1] == verdicts[2] == "contradicted"


def test_order_of_map_at_r_rp_and_p_at_1_is_checked():
    values = {"MAP@R": 30.0, "RP": 29.0, "P@1": 60.0, "R@1": 61.0}
    found = check_paper.on_paper([made(metric=m, value=v) for m, v in values.items()])
    assert [f.verdict for f in found] == ["contradicted", "contradicted", "contradicted",
                                          "consistent"]  # fmt: skip
    assert "MAP@R = 30 exceeds RP = 29" in found[0].reason
    assert "are the same metric" in found[2].reason


@settings(deadline=None)
@given(st.integers(2, 12), st.data())
def test_two_levels_have_the_mean_and_std_that_they_explain(n, data):
    m = data.draw(st.integers(1, n - 1))
    low = data.draw(st.floats(0, 40))
    high = data.draw(st.floats(45, 90))
    runs = [low] * m + [high] * (n - m)
    found, above, below = check_paper.two_levels(mean(runs), stdev(runs), n, high)
    rebuilt = [below] * found + [above] * (n - found)
    assert mean(rebuilt) == pytest.approx(mean(runs))
    assert stdev(rebuilt) == pytest.approx(stdev(runs))
    assert abs(above - high) < 1e-6


def test_a_spread_far_below_or_above_its_neighbours_is_flagged_and_four_times_is_the_bound():
    def column(spread):
        told = {"spread_kind": "ci95", "n_runs": 10, "category": "aggregate"}
        rest = [made(method=m, spread=0.2, **told) for m in "bcd"]
        return check_paper.on_paper([made(method="a", spread=spread, **told), *rest])[0].verdict

    assert [column(s) for s in (0.04, 0.06, 0.2, 0.7, 0.9)] == [
        "suspicious", "consistent", "consistent", "consistent", "suspicious",
    ]  # fmt: skip


# Statements


def cells(*outcomes, rivals=("b", "c", "d", "e")):
    side = Side("a", "cub", "complete", "R@1")
    return [
        check_statements.Cell(side, dataclasses.replace(side, method=rival), outcome=outcome)
        for rival, outcome in zip(rivals, outcomes, strict=False)
    ]


@pytest.mark.parametrize(
    ("kind", "told", "outcomes", "verdict"),
    [
        ("beats", {}, (1, 1), "supported"),
        ("beats", {}, (1, 0), "not supported"),
        ("beats", {}, (1, None), "not supported"),
        ("beats", {}, (1, -1, None), "contradicted"),
        ("beats", {}, (None, None), "no evidence"),
        ("beats", {}, (), "no evidence"),
        ("improves_everywhere", {"addition": "r"}, (1, -1), "contradicted"),
        ("beats_in", {"k": 2}, (1, 1, -1), "supported"),
        ("beats_in", {"k": 2}, (1, 0, -1), "not supported"),
        ("beats_in", {"k": 2}, (1, -1, -1), "contradicted"),
        ("best_among", {}, (1, 1, 1), "supported"),
        ("best_among", {}, (1, 0, 1), "not supported"),
        ("best_among", {}, (1, -1, 0), "contradicted"),
        ("best_among", {"rank": 2}, (1, -1, 1), "supported"),
        ("best_among", {"rank": 2}, (1, 1, 1), "contradicted"),
        ("best_among", {"rank": 2}, (1, 0, 1), "not supported"),
        ("best_among", {"rank": 2}, (-1, -1, 0), "contradicted"),
    ],
)
def test_verdicts_follow_from_the_outcomes_of_the_cells(kind, told, outcomes, verdict):
    assert check_statements.judge(shared.statement(kind, **told), cells(*outcomes)) == verdict


def test_a_lead_by_points_holds_at_the_points_and_a_bare_lead_needs_more_than_a_tie():
    rows = [made(method="a", value=56.0), made(method="b", value=50.0)]
    told = {"a": {"method": ("a",)}, "b": {"method": ("b",)}}
    for by, verdict in [(6.0, "supported"), (6.1, "contradicted"), (-1.0, "supported")]:
        one = shared.statement("beats", by=by, **told)
        assert check_statements.on_paper(one, statements_of.pairs(one, rows)).verdict == verdict
    tie = shared.statement("beats", **told)
    pairs = statements_of.pairs(tie, [rows[0], dataclasses.replace(rows[1], value=56.0)])
    assert check_statements.on_paper(tie, pairs).verdict == "not supported"


def test_separable_shifts_the_test_by_the_points_claimed():
    told = {"spread": 0.3, "spread_kind": "std", "n_runs": 8}
    rows = [made(method="a", value=56.0, **told), made(method="b", value=50.0, **told)]
    one = shared.statement("beats", by=5.9, a={"method": ("a",)}, b={"method": ("b",)})
    finding = check_statements.separable(one, statements_of.pairs(one, rows))
    theirs = scipy.stats.ttest_ind_from_stats(50.1, 0.3, 8, 50.0, 0.3, 8, equal_var=False)
    cell = finding.numbers["cells"][0]
    assert cell["p_value"] == pytest.approx(theirs.pvalue)
    assert cell["gap"] == pytest.approx(6.0)
    assert finding.verdict == "not supported"


# Comparability and the literature


def test_effects_come_from_pairs_that_differ_in_one_setting_only():
    rows = [
        made(value=60.0, trunk="bn_inception", dim=64),
        made(value=66.0, trunk="bn_inception", dim=512),
        made(value=69.0, trunk="resnet50", dim=512),
        made(value=99.0, trunk="resnet50(as grouped)", dim=64),
    ]
    found = conditions_of_claims.effects(rows)
    points = {(e.setting, e.low, e.high): e.points for e in found.values()}
    assert points == {("dim", "64", "512"): 6.0, ("trunk", "bn_inception", "resnet50"): 3.0}
    said = conditions_of_claims.worth(found, "dim", "512", "64", rows[0])
    assert said == "worth -6.0 (median of 1)"


def test_settings_that_a_paper_does_not_state_are_not_unequal():
    one, other = made(trunk="resnet50", crop="227"), made(crop="small_unspecified", dim=64)
    apart = conditions_of_claims.unequal(
        conditions_of_claims.settings(one), conditions_of_claims.settings(other)
    )
    assert apart == {}


def test_an_epoch_picked_on_test_is_a_setting(facts):
    hist = made(method="hist", tuned_on="test", reported_by="quoted")
    again = made(method="hist", tuned_on="test", reported_by="re-run")
    clean = made(method="warped", tuned_on="val")
    told = [conditions_of_claims.settings(c, facts).get("test_epoch") for c in (hist, again, clean)]
    assert told == ["best test epoch kept", None, "not picked on test"]


def test_a_quote_is_no_second_measurement_and_outliers_are_named():
    base = [made(paper="one", value=70.04), made(paper="two", value=70.0, reported_by="quoted")]
    finding = check_literature.agreement(base)[0]
    assert "1 of them distinct" in finding.reason
    assert "re-run by nobody" in finding.reason
    more = [made(paper=p, value=v, reported_by="re-run") for p, v in
            [("three", 70.1), ("four", 69.9), ("five", 75.0)]]  # fmt: skip
    finding = check_literature.agreement(base + more)[0]
    assert finding.verdict == "suspicious"
    assert finding.numbers["outliers"] == [more[2].claim_id]
    assert "four 1 (69.9)" in finding.reason


# Our evidence


def ours(values, conditions=EQUAL, repeats=None, name="r"):
    return Evidence(values, [f"{name}{i}" for i in range(len(values))], conditions, repeats)


STATED = {"trunk": "resnet50", "dim": 512, "tuned_on": "cv4", "category": "complete"}
NEAR = [50.1, 50.4, 49.8, 50.2, 49.9]


@pytest.mark.parametrize(
    ("told", "values", "verdict"),
    [
        ({**STATED, "value": 50.3}, NEAR, "supported"),
        ({**STATED, "value": 58.0}, NEAR, "contradicted"),
        ({**STATED, "value": 58.0, "trunk": "unknown"}, NEAR, "not supported"),
        ({**STATED, "value": 50.3, "trunk": "bn_inception"}, NEAR, "not comparable"),
        ({**STATED, "value": 50.3, "category": "single"}, NEAR, "supported"),
        ({**STATED, "value": 50.3, "category": "ensemble"}, NEAR, "no evidence"),
        ({**STATED, "value": 50.3}, NEAR[:1], "no evidence"),
    ],
)
def test_a_claim_beside_our_interval(told, values, verdict):
    claim = made(**told)
    measured = {("a", "cub", "complete", "recall_at_1"): ours(values)}
    finding = check_evidence.of_claim(claim, measured)
    assert finding.verdict == verdict
    if verdict in ("supported", "contradicted"):
        assert finding.records == ("r0", "r1", "r2", "r3", "r4")
        assert finding.numbers["measured"] == pytest.approx(mean(NEAR))


def test_a_claim_with_a_spread_is_tested_by_welch_and_a_bare_one_by_prediction():
    told = {**STATED, "value": 50.6, "spread": 0.2, "spread_kind": "std", "n_runs": 5}
    measured = {("a", "cub", "complete", "recall_at_1"): ours(NEAR)}
    theirs = scipy.stats.ttest_ind_from_stats(
        50.6, 0.2, 5, mean(NEAR), stdev(NEAR), 5, equal_var=False
    )
    reason = check_evidence.of_claim(made(**told), measured).reason
    assert f"p = {theirs.pvalue:.3g}" in reason
    t = (50.6 - mean(NEAR)) / (stdev(NEAR) * math.sqrt(1 + 1 / 5))
    bare = check_evidence.of_claim(made(**STATED, value=50.6), measured).reason
    assert f"p = {2 * scipy.stats.t.sf(t, 4):.3g}" in bare


def test_statements_pair_by_repeat_and_show_claimed_beside_measured():
    a = ours([51.0, 52.1, 50.4, 53.0], repeats=[0, 1, 2, 3], name="a")
    b = ours([50.2, 49.4, 51.1, 49.0], repeats=[2, 1, 3, 4], name="b")
    measured = {("a", "cub", "complete", "recall_at_1"): a}
    measured["b", "cub", "complete", "recall_at_1"] = b
    rows = [made(method="a", value=60.0), made(method="b", value=55.0)]
    one = shared.statement("beats", a={"method": ("a",)}, b={"method": ("b",)})
    finding = check_evidence.of_statement(one, statements_of.pairs(one, rows), measured)
    theirs = scipy.stats.ttest_rel([52.1, 50.4, 53.0], [49.4, 50.2, 51.1])
    assert finding.numbers["cells"][0]["p_value"] == pytest.approx(theirs.pvalue)
    assert "(+1.60)" in finding.reason
    assert "claimed +5.00" in finding.reason
    assert "paired t, 3 pairs" in finding.reason
    assert finding.verdict == "not supported"
    assert finding.records[0] == "a0"
    assert len(finding.records) == 8


def evidence_of(levels, conditions=EQUAL):
    noise = [0.1, -0.1, 0.2, -0.2, 0.0]
    return {
        (loss, dataset, "complete", "recall_at_1"): ours(
            [level + n * (1 + i) for n in noise], conditions, name=f"{loss}-{dataset}-"
        )
        for i, ((loss, dataset), level) in enumerate(levels.items())
    }


def test_an_addition_that_helps_one_loss_and_hurts_another_is_contradicted():
    one = shared.statement(
        "improves_everywhere", addition="nir", a={"method": ("nir_x", "nir_y")},
        b={"method": ("x", "y")},
        where={"dataset": ("cub",), "metric": ("R@1",), "category": ("complete",)},
    )  # fmt: skip
    pairs = statements_of.pairs(one, [])
    assert [(a.method, b.method) for a, b in pairs] == [("nir_x", "x"), ("nir_y", "y")]
    levels = {("x", "cub"): 50, ("nir_x", "cub"): 55, ("y", "cub"): 50, ("nir_y", "cub"): 45}
    assert check_evidence.of_statement(one, pairs, evidence_of(levels)).verdict == "contradicted"
    levels["nir_y", "cub"] = 56
    assert check_evidence.of_statement(one, pairs, evidence_of(levels)).verdict == "supported"
    assert check_evidence.of_statement(one, pairs, {}).verdict == "no evidence"
    del levels["nir_y", "cub"]
    assert check_evidence.of_statement(one, pairs, evidence_of(levels)).verdict == "not supported"


def test_records_under_unequal_conditions_are_not_comparable():
    one = shared.statement(
        "beats", a={"method": ("x",)}, b={"method": ("y",)},
        where={"dataset": ("cub",), "metric": ("R@1",)},
    )  # fmt: skip
    measured = evidence_of({("x", "cub"): 50}) | evidence_of({("y", "cub"): 40}, {"dim": "64"})
    finding = check_evidence.of_statement(one, statements_of.pairs(one, []), measured)
    assert finding.verdict == "not comparable"
    assert "dim 512 against 64" in finding.reason


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "supported"), (3.0, "not supported"),
                                                 (5.0, "contradicted")])  # fmt: skip
def test_convergence_is_a_ratio_of_steps(factor, verdict):
    one = shared.statement(
        "converges_faster", factor=factor, a={"method": ("x",)}, b={"method": ("y",)},
        where={"dataset": ("cars",)},
    )  # fmt: skip
    steps = {"x": [100, 110, 95, 105], "y": [300, 320, 310, 290]}
    measured = {(m, "cars", "complete", statements_of.STEPS): ours(v) for m, v in steps.items()}
    finding = check_evidence.of_statement(one, statements_of.pairs(one, []), measured)
    assert finding.verdict == verdict
    assert "2.98 times as fast" in finding.reason


def test_conditions_of_a_study_are_in_the_words_of_the_claims(published):
    study = Study(name="s")
    told = check_evidence.conditions_of(study, "aggregate")
    claim = next(c for c in published if c.table == "VI" and c.category == "aggregate")
    known = conditions_of_claims.settings(claim)
    shared = set(told) & set(known)
    assert {"trunk", "dim", "tuned_on", "pooling", "extra_components"} <= shared
    assert {k: told[k] for k in shared} == {k: known[k] for k in shared}
    assert check_evidence.conditions_of(study, "complete")["dim"] == "512"


# Writing


def test_csv_and_json_hold_every_finding_and_markdown_every_statement_and_doubt(found):
    parsed = json.loads(findings_of.to_json(found))
    assert len(parsed) == len(found)
    table = list(csv.DictReader(io.StringIO(findings_of.to_csv(found))))
    for mine, theirs, line in zip(found, parsed, table, strict=True):
        assert theirs["verdict"] == line["verdict"] == mine.verdict
        assert theirs["reason"] == line["reason"] == mine.reason
        assert json.loads(line["numbers"]) == theirs["numbers"]
    text = findings_of.to_markdown(found)
    for finding in found:
        if finding.about == "statement" or finding.verdict not in findings_of.PLAIN:
            assert finding.subject.replace("|", "\\|") in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") == 5


WORDS = st.text('ab|",;\n\\é± ')


@settings(deadline=None)
@given(WORDS, WORDS)
def test_any_words_survive_the_csv_and_a_markdown_row(reason, subject):
    finding = findings_of.Finding(
        check="on paper", about="claim", subject=subject, paper="p", verdict="suspicious",
        reason=reason,
    )  # fmt: skip
    parsed = list(csv.DictReader(io.StringIO(findings_of.to_csv([finding]), newline="")))
    assert (parsed[0]["reason"], parsed[0]["subject"]) == (reason, subject)
    assert json.loads(findings_of.to_json([finding]))[0]["reason"] == reason


def test_the_audit_imports_no_torch():
    code = "import sys, harness.audit; print([m for m in ('torch', 'optuna') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
