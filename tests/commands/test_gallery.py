"""`gallery`: the strips are of the model behind the record, and right and wrong are as labelled."""

from __future__ import annotations

import json
import re

import pytest

from harness.tables import gallery
from tests.made import TINY, call, images, run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The words that name a finished tiny study: its address, its results, its data."""
    folder = images(tmp_path_factory.mktemp("images") / "tiny")
    results = tmp_path_factory.mktemp("run") / "results"
    [*_, job] = run(TINY, folder, results, losses=("warped",))
    address = f"tiny/{job.path.parent.name}"
    return address, ["--results", results, "--data", results.parent / "data", "--device", "cpu"]


def test_the_strips_hold_the_asked_queries_and_neighbours_and_the_recorded_scores(place, tmp_path):
    address, words = place
    figure = tmp_path / "strips.png"
    code, out, err = call(
        *("gallery", f"{address}/warped", *words),
        *("--figure", figure, "--queries", 2, "--keep"),
    )
    assert code == 0, err
    assert "its scores are the recorded ones exactly" in out
    assert re.search(rf"training {address}/warped/complete-t\d+-r0-\S+ again", err)
    assert [line.split("|")[1].strip() for line in out.splitlines()[2:8]] == [
        *["best"] * 2,
        *["median"] * 2,
        *["worst"] * 2,
    ]
    assert figure.read_bytes().startswith(b"\x89PNG")
    kept = json.loads((words[1] / address / "gallery" / "warped.json").read_text())
    assert len(kept["points"]) == len(kept["classes"]) == 32  # the test half: 8 classes of 4
    page = tmp_path / "page.html"
    assert call("report", address, "--results", words[1], "--output", page)[0] == 0
    assert "What a model retrieves" in page.read_text()


def test_neighbours_are_marked_by_class_and_never_the_query(place):
    address, words = place
    _, out, _ = call("gallery", f"{address}/warped", *words, "--json", "--neighbours", 20)
    data = json.loads(out)
    assert data["same"] is True
    scores = {kind: [] for kind in ("best", "median", "worst")}
    for strip in data["strips"]:
        scores[strip["query"]].append(strip["ap_at_r"])
    assert min(scores["best"]) >= max(scores["median"]) >= min(scores["median"])
    assert min(scores["median"]) >= max(scores["worst"])
    for strip in data["strips"]:
        marks = [each["right"] for each in strip["neighbours"]]
        assert marks == [each["class"] == strip["class"] for each in strip["neighbours"]]
        assert sum(marks) <= 3  # a class has four images, and one of them is the query
        first = marks[:3]  # AP@R by hand, of the three positives
        by_hand = sum(hit * sum(first[: i + 1]) / (i + 1) for i, hit in enumerate(first)) / 3
        assert strip["ap_at_r"] == pytest.approx(by_hand)


def test_a_record_of_the_search_has_no_model_to_look_at(place):
    address, words = place
    code, out, err = call("gallery", f"{address}/warped/search-t0-f0", *words)
    assert (code, out, err.count("\n")) == (2, "", 2)
    assert "is of stage search and has no model of its own to look at" in err


def test_a_name_of_several_losses_and_a_figure_of_no_format_are_one_line(place):
    address, words = place
    code, _, err = call("gallery", address, *words)
    assert code == 2
    assert "is of 2 losses; name one" in err
    code, _, err = call("gallery", address, *words, "--figure", "x.gif")
    assert code == 2
    assert "must end in .png" in err


def test_right_and_wrong_differ_in_colour_in_line_and_in_sign():
    assert all(a != b for a, b in zip(gallery.RIGHT, gallery.WRONG, strict=True))
