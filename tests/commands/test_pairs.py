"""`pairs`: recorded models on pairs of test classes and of files, in the toolkits' formats."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness.tables import verification
from harness.tables.verification import OnPairs
from tests.data.test_face_pairs import bin_file, lfw
from tests.made import TINY, call, images, run


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    study = {"stages": ("repeat", "complete"), "lr": 1e-3, "loss_lr": 1e-2, "followup": False}
    study |= {"followup_max_epochs": 0, "diagnostics": ("verification_accuracy",), "folds": 2}
    folder = images(root / "images" / "tiny", classes=40)
    variants = {"plain": {"loss": "euclidean_softmax", "params": {"temperature": 1.0}}}
    tiny = replace(TINY, **study, variants=variants)
    [*_, job] = run(tiny, folder, root / "run" / "results", losses=("plain",))
    where = ["--results", root / "run" / "results", "--data", root / "run" / "data"]
    return f"tiny/{job.path.parent.name}", [*where, "--device", "cpu"], job


def test_pairs_of_the_test_classes_give_the_accuracy_of_the_record(recorded, tmp_path):
    name, where, job = recorded
    figure = tmp_path / "roc.png"
    code, out, err = call("pairs", name, *where, "--json", "--figure", figure)
    assert code == 0, err
    [of_loss] = json.loads(out)["scores"].values()
    complete = {r.repeat: r.diagnostics for r in job.records if r.stage == "complete"}
    for repeat, diagnostics in complete.items():
        scores = of_loss["test classes"][str(repeat)]
        assert scores["accuracy"] == pytest.approx(diagnostics["verification_accuracy"])
        assert 0 <= scores["equal_error_rate"] <= 1
    assert figure.stat().st_size > 5000


def test_files_of_pairs_are_scored_side_by_side(recorded, tmp_path):
    name, where, _ = recorded
    text, folder = lfw(tmp_path)
    packed = bin_file(tmp_path / "cfp_fp.bin")
    files = ["--pairs", packed, text, "--images", folder, "--repeats", 1]
    code, out, err = call("pairs", name, *where, *files)
    assert code == 0, err
    assert "| cfp_fp" in out
    assert "| pairs" in out
    assert "cfp_fp: 40 pairs; pairs: 12 pairs" in out


def test_a_folder_without_a_file_of_pairs_is_refused_before_anything_is_trained(recorded, tmp_path):
    name, where, _ = recorded
    code, _, err = call("pairs", name, *where, "--images", tmp_path)
    assert code == 2
    assert "give that with --pairs" in err
    assert "1 of " not in err


def made(accuracies: dict[str, float]) -> OnPairs:
    rng = np.random.default_rng(0)
    scores = {}
    for loss, mean in accuracies.items():
        scores[loss] = {}
        for name in ("lfw", "calfw"):
            genuine = np.arange(40) < 20
            scores[loss][name] = {
                repeat: verification.scored(
                    rng.normal(size=40), genuine, mean + 0.001 * rng.normal()
                )
                for repeat in range(4)
            }
    return OnPairs("faces", scores, [], {"lfw": 40, "calfw": 40})


def test_survivors_are_marked_and_in_no_comparison():
    of_survivors = replace(made({"arcface": 0.9, "warped": 0.95}), failed={"arcface": 1})
    assert verification.statements(of_survivors) == []
    assert "(4 of 5: " in verification.text(of_survivors, "Code: abc.")


@pytest.mark.parametrize(("arcface", "verdict"), [(0.90, "agrees"), (0.98, "disagrees")])
def test_the_papers_comparison_is_judged_where_the_paper_has_it(arcface, verdict):
    [statement] = verification.statements(made({"arcface": arcface, "warped": 0.95}))
    assert statement.verdict == verdict
    assert "lfw" in statement.here
    assert "calfw" not in statement.here
