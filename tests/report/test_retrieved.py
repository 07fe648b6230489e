"""The strips that `gallery --keep` leaves stand on the page, marked; other losses need none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.tables import gallery
from harness.tables.gallery import Picture, Strip
from tests import made
from tests.report import sheets

NAME = '<b>"pear"</b>'


def strips() -> list[Strip]:
    picture = np.zeros((8, 8, 3), np.uint8)
    neighbours = [Picture(picture, "apple", True), Picture(picture, NAME, False)]
    return [
        Strip(kind, score, Picture(picture, "apple", True), neighbours)
        for kind, score in (("best", 0.75), ("median", 0.5), ("worst", 0.0))
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    sheets.write(results)
    kept = gallery.as_data(strips(), "tiny/made/warped/complete-t0-r0", same=True, pixels=True)
    points = {"points": [[0.0, 1.0], [2.0, 3.0]], "classes": ["apple", NAME]}
    path = gallery.kept_path(results / "tiny" / "made", "warped")
    path.parent.mkdir()
    path.write_text(json.dumps({**kept, **points, "variance_share": 0.25}))
    return results


def test_queries_and_neighbours_are_shown_with_their_marks_and_names_as_text(results):
    page = sheets.parse(sheets.html(results))
    (section,) = page.all("div", class_="strips")
    rows = section.all("tr")
    heads = [row.all("th")[0].text for row in rows]
    assert heads == ["bestAP@R 75 %", "medianAP@R 50 %", "worstAP@R 0 %"]
    assert [cell.text for cell in rows[0].all("td")] == ["apple", "✓", f"✗ {NAME}"]
    assert [cell.text for cell in rows[0].all("td", class_="wrong")] == [f"✗ {NAME}"]
    images = section.all("img")
    assert len(images) == 9
    assert all(one.attributes["src"].startswith("data:image/png;base64,") for one in images)
    assert "hold 25 % of the variance" in section.text
    assert len(page.all("div", class_="strips")) == 1


def test_a_large_picture_is_kept_small():
    noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    strip = Strip("best", 1.0, Picture(noise, "apple", True), [])
    (kept,) = gallery.as_data([strip], "a", same=True, pixels=True)["strips"]
    assert kept["image"].startswith("data:image/jpeg;base64,")
    assert len(kept["image"]) < 20_000


def test_a_file_that_is_not_whole_is_named_in_one_line(results, tmp_path):
    path = gallery.kept_path(results / "tiny" / "made", "contrastive")
    path.write_text('{"record": ')
    try:
        code, _, err = made.call("report", "--results", results, "--output", tmp_path / "x.html")
    finally:
        path.unlink()
    assert code == 2
    assert str(path) in err
    assert err.count("\n") == 1
