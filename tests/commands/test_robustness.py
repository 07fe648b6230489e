"""`robustness`: recorded models on corrupted test images, scored as `score` would score them."""

from __future__ import annotations

import json

from harness.data.corruptions import CORRUPTIONS
from tests.made import TINY, call, images, run


def test_every_complete_model_is_scored_clean_and_on_each_corruption_and_nothing_is_written(
    tmp_path,
):
    folder = images(tmp_path / "images" / "tiny")
    results = tmp_path / "run" / "results"
    [*_, job] = run(TINY, folder, results, losses=("warped",))
    recorded = {r.repeat: r.scores for r in job.records if r.stage == "complete"}
    where = ["--results", results, "--data", tmp_path / "run" / "data", "--device", "cpu"]
    before = sorted(path for path in results.rglob("*") if path.is_file())
    name = f"tiny/{job.path.parent.name}"
    drawn = tmp_path / "drawn.svg"
    code, out, err = call("robustness", name, *where, "--json", "--figure", drawn)
    assert code == 0, err
    assert drawn.read_bytes().startswith(b"<?xml")
    [scores] = json.loads(out)["scores"].values()
    assert list(scores) == ["clean", *CORRUPTIONS]
    assert scores["clean"] == {str(r): s["precision_at_1"] for r, s in recorded.items()}
    assert any(scores[corruption] != scores["clean"] for corruption in CORRUPTIONS)
    assert "UNLIKE" not in out
    assert sorted(path for path in results.rglob("*") if path.is_file()) == before
    code, out, _ = call("robustness", f"{name}/untrained", *where)
    assert code == 2
