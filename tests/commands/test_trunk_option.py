"""--trunk and --weights: refused before anything is read, told in table and records."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from harness import files
from harness.protocol import likeness
from harness.records import folder, provenance, records
from harness.tables.table_caption import network_of
from harness.training.computable import adapt_to_trunk
from studies.smoke import STUDY as SMOKE
from tests import made


def study(tmp_path: Path, *words: object) -> tuple[int, str, str]:
    places = ("--results", tmp_path / "results", "--data", tmp_path / "data")
    given = ("--study", "smoke", "--loss", "contrastive", "--dataset", "glyphs")
    return made.call("study", *given, *places, *words)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--trunk", "resnet51"), "trunk 'resnet51' is not known; did you mean 'resnet50'?"),
        (("--trunk", "timm"), "trunk 'timm' is not known; timm has "),
        (("--trunk", "torchvision:resnet51"), "did you mean 'torchvision:resnet"),
        (
            ("--trunk", "efficientnet_lite0", "--weights", "gone.pth"),
            'weights = "gone.pth": no such',
        ),
        (("--weights", "imagenet"), "trunk 'convnet' has no ImageNet weights; set weights ="),
        (("--trunk", "torchvision:maxvit_t"), "gives no features of crops of 32 px"),
    ],
)
def test_what_cannot_be_had_is_one_line_before_any_image_is_drawn(words, line, tmp_path):
    code, _, err = study(tmp_path, *words)
    assert code == 2
    assert line in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "data").exists()
    assert not list((tmp_path / "results").glob("*/*"))


def test_the_table_tells_trunk_weights_pooling_and_rate():
    study = dataclasses.replace(
        made.TINY, trunk="timm:vit_x", weights="pretrained", pooling="trunk", trunk_lr_ratio=0.1
    )
    assert network_of(study) == (
        "timm:vit_x, weights: pretrained, pooled by the trunk itself, precision fp32, the trunk's "
        "learning rate 0.1 times the head's"
    )


def test_records_of_a_trunk_of_timm_name_its_version_and_others_do_not():
    versions = provenance.package_versions("timm")
    assert set(versions) - set(provenance.package_versions()) <= {"timm"}
    assert "timm" not in provenance.package_versions()
    older = {"versions": {"torch": "2", "timm": "1.0"}}
    newer = {"versions": {"torch": "2", "timm": "1.1"}}
    changes = likeness.differences(likeness.making(older), likeness.making(newer))
    assert changes == ["timm 1.0 -> 1.1"]


def test_a_study_is_not_called_changed_for_the_trunk_that_the_command_gave_it(tmp_path):
    where = tmp_path / "smoke" / "glyphs"
    where.mkdir(parents=True)
    for changes, expected in [
        ({"trunk": "timm:test_vit", "pooling": "trunk"}, 0),
        ({"trunk": "resnet18", "pooling": "max"}, 1),  # no trunk asks for that
    ]:
        study = dataclasses.replace(SMOKE.for_dataset("glyphs"), **changes)
        description = folder.describe(study, "glyphs", "glyphs", "x")
        files.write_text(where / "study.json", json.dumps(description))
        code, out, _ = made.call("check", "--results", tmp_path)
        assert code == 1  # it has no records
        assert out.count("studies/smoke.py has changed since") == expected, out


@pytest.mark.slow
def test_a_study_runs_on_a_vision_transformer_of_timm_with_a_file_s_weights(tmp_path):
    timm = pytest.importorskip("timm")
    model = timm.create_model("test_vit", pretrained=False)  # for 160 px, the study crops 32
    torch.save({"state_dict": model.state_dict()}, tmp_path / "net.pth")
    study = dataclasses.replace(
        made.TINY, trunk="timm:test_vit", weights=str(tmp_path / "net.pth"), trials=1
    )
    images, lines = made.images(tmp_path / "images"), list[str]()
    study, told = adapt_to_trunk(study, [f"folder:{images}"])
    made.run(
        study.for_dataset(f"folder:{images}"),
        images,
        tmp_path / "results",
        losses=("contrastive",),
        notify=lambda event, *values: lines.extend(values) if event == "line" else None,
    )
    assert 'pooling is "trunk" in place of the study\'s "avg+max"' in told[0]
    assert [line for line in lines if "'state_dict.' is taken off the names" in line]
    (path,) = (tmp_path / "results").glob("*/*/contrastive.jsonl")
    for record in records.read(path).records:
        assert record.failure is None
        assert record.provenance["versions"]["timm"] == timm.__version__
        assert "net.pth (sha256 " in record.provenance["weights"]
    code, out, _ = made.call("check", "--results", tmp_path / "results")
    assert (code, "nothing is wrong" in out) == (0, True), out
