"""Datasets that are not there: all of them in one line, before anything is built or trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data import missing
from tests.data import miniatures
from tests.made import call, images


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_every_dataset_that_is_missing_is_named_with_what_gets_it_and_nothing_is_built(
    tmp_path: Path,
) -> None:
    data, results = tmp_path / "data", tmp_path / "results"
    birds = images(tmp_path / "birds")
    miniatures.sop(data / "sop")
    (data / "sop" / "counts.txt").unlink()  # so that it is no whole copy
    before = everything(tmp_path)
    code, out, err = call(
        *("study", "--study", "demo", "--loss", "contrastive", "--data", data),
        *("--results", results, "--dataset", "glyphs", f"folder:{birds}", "cub"),
        *("--dataset", "sop"),  # a second time, which adds to the first
        *(f"table:{tmp_path}/gone.csv", f"features:{tmp_path}/gone.npz", f"folder:{tmp_path}/gone"),
    )
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "5 of 7 datasets cannot be read, and nothing was started" in err
    assert f"`python -m harness data fetch cub --data {data}`" in err
    assert "120053 are expected" in err
    for name in ("gone.csv", "gone.npz", f"{tmp_path}/gone "):
        assert name in err
    assert everything(tmp_path) == before


@pytest.mark.parametrize("study", ["appendix_d", "mlrc"])
def test_the_datasets_of_a_study_itself_are_looked_for_too(tmp_path: Path, study: str) -> None:
    code, _, err = call(
        *("study", "--study", study, "--loss", "contrastive", "--weights", "none"),
        *("--data", tmp_path / "data", "--results", tmp_path / "results"),
    )
    assert code == 2
    assert "data fetch cub" in err
    assert everything(tmp_path) == []


def test_what_is_there_is_not_missing(tmp_path: Path) -> None:
    birds = images(tmp_path / "birds", classes=4)
    miniatures.cub(tmp_path / "data" / "cub")
    np.savez(tmp_path / "f.npz", features=np.zeros((8, 2), np.float32), labels=np.arange(8) // 2)
    (tmp_path / "birds" / "df.csv").write_text(
        "path,label\n" + "".join(f"class_{c:02}/{i}.png,{c}\n" for c in range(4) for i in range(4))
    )
    names = ["glyphs", "cub", f"folder:{birds}", f"table:{birds}/df.csv"]
    names.append(f"features:{tmp_path}/f.npz")
    assert missing.lines(names, tmp_path / "data") == []
    for name in names:
        assert missing.lines([name], tmp_path / "data") == []
