from __future__ import annotations

import pytest

from tests import made
from tests.report import sheets


@pytest.fixture
def results(tmp_path):
    sheets.write(tmp_path / "results")
    return tmp_path / "results"


def test_a_page_and_the_figures_for_a_paper_are_written(results, tmp_path):
    output, figures = tmp_path / "out" / "page.html", tmp_path / "figures"
    code, out, err = made.call(
        *("report", "tiny/made", "--results", results),
        *("--output", output, "--figures", figures),
    )
    assert (code, err) == (0, "")
    assert str(output) in out
    assert output.read_text().startswith("<!doctype html>")
    names = {path.stem for path in figures.iterdir()}
    assert "tiny_made_forest_map_at_r_complete" in names
    assert "tiny_made_cost" in names
    for name in names:
        assert (figures / f"{name}.svg").read_text().startswith("<?xml")
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tiny/mad",), "no STUDY/DATASET 'tiny/mad'; did you mean 'tiny/made'?"),
        (("--output", "page.pdf"), "--output page.pdf: the name must end in .html"),
        (("--loss", "warp"), "no loss 'warp'; did you mean 'warped'?"),
    ],
)
def test_what_is_not_there_is_named_in_one_line(results, words, said):
    code, out, err = made.call("report", "--results", results, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_folder_without_records_is_said_and_no_page_is_written(tmp_path):
    output = tmp_path / "page.html"
    code, _, err = made.call("report", "--results", tmp_path / "none", "--output", output)
    assert code == 2
    assert "run `python -m harness study` first" in err
    assert not output.exists()
