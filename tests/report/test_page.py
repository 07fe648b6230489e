from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from tests import made
from tests.report import sheets

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    sheets.write(folder, "cub")
    sheets.write(folder, "cars", warped=(0.6, 0.61, 0.62), contrastive=(0.1, 0.12, 0.11))
    return folder


@pytest.fixture(scope="module")
def text(results):
    return sheets.html(results)


@pytest.fixture(scope="module")
def page(text):
    return sheets.parse(text)


def test_the_same_records_give_the_same_bytes(results, text):
    assert sheets.html(results) == text


def test_the_texts_to_copy_are_what_table_prints(results, page):
    for number, dataset in enumerate(("cars", "cub")):
        for form in ("markdown", "latex", "csv"):
            words = ("table", "--results", results, "--dataset", dataset, "--format", form)
            (shown,) = page.all("pre", id=f"s{number}-{form}")
            assert shown.text == made.call(*words)[1]


def test_the_cells_are_those_of_table_in_markdown(results, page):
    printed = made.call("table", "--results", results, "--dataset", "cub")[1]
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in printed.splitlines()]
    head, rows = lines[0], [line for line in lines[2:] if line]
    (section,) = page.all("section", id="s1")
    (table,) = section.all("table", class_="comparison")
    heads = [" ".join(th.text.replace("%", "").split()) for th in table.all("thead")[0].all("th")]
    for row, printed_row in zip(table.all("tbody")[0].all("tr"), rows, strict=True):
        cells = {
            name: " ".join(cell.text.split())
            for name, cell in zip(heads, row.all("th") + row.all("td"), strict=True)
        }
        for name, cell in zip(head, printed_row, strict=True):
            assert cells[name] == cell.replace("**", "")


def test_a_cell_holds_the_runs_behind_it_and_the_row_the_command_that_repeats_them(results, page):
    (section,) = page.all("section", id="s1")
    row = section.all("table", class_="comparison")[0].all("tr")[1]
    command = f"python -m harness verify tiny/cub/warped --results {results}"
    assert row.attributes["data-command"] == command
    runs = row.all("td")[0].attributes["data-runs"]
    assert "repeat 0: 50.00; repeat 1: 52.00; repeat 2: 54.00" in runs


def test_the_answer_comes_first_and_says_by_how_much(page):
    (section,) = page.all("section", id="s0")
    sentence = section.all("ul", class_="answer")[0].all("li")[0].text
    assert sentence.startswith("warped beats contrastive on Complete by 50.00 points of MAP@R")
    assert "by repeat: +50.00; +49.00; +51.00" in sentence
    assert "p < 0.001, Holm" in sentence


def test_the_page_asks_nothing_of_a_network(page):
    for element in page.all():
        for name in ("src", "href", "action", "srcset", "data", "xlink:href"):
            assert element.attributes.get(name, "#").startswith(("#", "data:image/")), element
    (style,) = (one for one in page.all("head")[0].all("style"))
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_only_the_script_of_the_page_may_run(page):
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    (script,) = (one for one in page.all("script") if "type" not in one.attributes)
    checksum = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    rules = dict(rule.split(None, 1) for rule in policy.attributes["content"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{checksum}'"


def test_no_two_elements_share_an_id_and_every_reference_has_one(text, page):
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    used = re.findall(r'(?:url\(|href=")#([\w-]+)', drawn)
    assert used
    assert set(used) <= set(ids)


def test_ranks_over_two_datasets_are_drawn_and_said(page):
    (ranks,) = page.all("section", id="ranks")
    assert ranks.all("svg")
    assert "over 2 datasets" in ranks.text


def test_pairs_are_those_of_compare(results, page):
    words = ("compare", "--results", results, "--dataset", "cub", "--format", "json")
    (pair,) = json.loads(made.call(*words)[1])["pairs"]
    (section,) = page.all("section", id="s1")
    (script,) = section.all("script", class_="pair-data")
    every = json.loads(script.text)
    data = next(one for one in every if (one["category"], one["metric"]) == ("complete", "MAP@R"))
    assert data["losses"] == [pair["a"], pair["b"]]
    (shown,) = data["pairs"]
    expected = (100 * pair["difference"], 100 * pair["paired_ci95"])
    assert shown[2:4] == [f"{value:.2f}" for value in expected]
    assert float(shown[4]) == pytest.approx(pair["p_holm"], rel=0.05)
    (table,) = section.all("table", class_="differences")
    (row,) = table.all("tbody")[0].all("tr")
    assert row.attributes["class"] == "worse"
    assert row.all("td")[0].text == f"\N{MINUS SIGN}{expected[0]:.2f} ± {expected[1]:.2f}"


def test_the_worst_class_is_first_among_the_classes(page):
    (section,) = page.all("section", id="s0")
    (region,) = section.all("div", **{"aria-labelledby": "s0-classes"})
    rows = [[c.text for c in row.parts if not isinstance(c, str)] for row in region.all("tr")]
    assert rows[0] == ["class", "queries", "warped", "contrastive"]
    assert rows[1:] == [
        ["2", "5", "52.5", "9.5"],
        ["1", "3", "67.1", "12.1"],
        ["0", "2", "73.2", "13.2"],
    ]


def test_names_and_failures_are_text_and_never_markup(tmp_path):
    title = f"</h2></script><script>alert(1)</script>{HOSTILE} $\\frac{{x}}$ \a &amp; {{{{7}}}}"
    failing = made.play(lambda runs: runs[0], failing=lambda run: run.repeat == 1, loss=HOSTILE)
    by_loss = {
        HOSTILE: [
            replace(one, failure=one.failure and f"</li></script>{HOSTILE}") for one in failing
        ],
        "]]>'\"`$x$ --> #0072b2": made.scored("x", (0.2, 0.3, 0.25)),
    }
    made.write_records(tmp_path, "made", by_loss)
    study = tmp_path / "tiny" / "made" / "study.json"
    study.write_text(json.dumps({**json.loads(study.read_text()), "title": title}))
    page = sheets.parse(sheets.html(tmp_path))
    assert title in page.all("h2")[0].text
    assert not page.all("img")
    assert {one.attributes.get("type") for one in page.all("script")} == {None, "application/json"}
    assert len(page.all("script")) == 2
    attributes = {name for element in page.all() for name in element.attributes}
    assert not [name for name in attributes if name.startswith("on")]
    names = {th.text for th in page.all("table", class_="comparison")[0].all("th", scope="row")}
    assert set(by_loss) <= names
    assert any(li.text.endswith(f"</li></script>{HOSTILE}") for li in page.all("li"))


def test_a_study_without_final_runs_says_that_there_is_no_answer_yet(tmp_path):
    records = [r for r in made.play(lambda runs: runs[0]) if r.stage == "search"][:7]
    made.write_records(tmp_path, "made", {"warped": records})
    page = sheets.parse(sheets.html(tmp_path))
    answers = [li.text for li in page.all("ul", class_="answer")[0].all("li")]
    assert answers[0].startswith("No answer: warped alone has records here")
    assert answers[1] == ("The study is not finished for warped: these numbers may still change.")


def test_few_repeats_that_tell_nothing_apart_are_called_undecided(tmp_path):
    sheets.write(tmp_path, warped=(0.50, 0.40, 0.46), contrastive=(0.44, 0.42, 0.45))
    page = sheets.parse(sheets.html(tmp_path))
    sentence = page.all("ul", class_="answer")[0].all("li")[0].text
    assert sentence.startswith("Complete is undecided between warped and contrastive")
    assert re.search(
        r"; \d+ more repeats of warped and contrastive would tell them apart", sentence
    )
