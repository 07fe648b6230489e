"""Weights in files as people have them: wrapped, prefixed, damaged, another trunk's."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.schema import Problem, Study
from harness.training import initial_weights, network, state_dicts, trunks

NOT_READ = "holds no state_dict of tensors"


def a_study(weights: object, trunk: str = "convnet", **changes: Any) -> Study:
    return Study(name="s", trunk=trunk, weights=str(weights), crop=32, **changes)


def a_trunk(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module = trunks.load("convnet").module(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def test_every_usual_wrapping_gives_the_tensors_that_are_in_it(tmp_path: Path) -> None:
    """Containers of timm, Lightning, DDP, torch.compile, DINO, MoCo, MAE, and options beside."""
    state, other = a_trunk(1).state_dict(), a_trunk(2).state_dict()
    options = argparse.Namespace(lr=0.1, data="images")
    optimiser = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    projector = {"projector.0.weight": torch.ones(3, 3)}
    wrappings: dict[str, tuple[dict[str, Any], str]] = {
        "as it is": (dict(state), ""),
        "ddp": (prefixed("module.", state), "module."),
        "container": ({"model": state, "epoch": 3, "args": options}, "model."),
        "lightning": (
            {"state_dict": prefixed("backbone.", state), "hyper_parameters": {"lr": 0.1}},
            "state_dict.backbone.",
        ),
        "trainer": (
            {"model": prefixed("module._orig_mod.", state), "optimizer": optimiser},
            "model.module._orig_mod.",
        ),
        "dino": (
            {
                "student": prefixed("module.backbone.", other),
                "teacher": prefixed("backbone.", state),
            },
            "teacher.backbone.",
        ),
        "moco": (
            {
                "state_dict": {
                    **prefixed("module.encoder_k.", other),
                    **prefixed("module.encoder_q.", state),
                }
            },
            "state_dict.module.encoder_q.",
        ),
        "averaged": ({"state_dict": other, "state_dict_ema": state}, "state_dict_ema."),
        "with a projector": (prefixed("encoder.", {**state, **projector}), "encoder."),
    }
    for name, (content, prefix) in wrappings.items():
        path = tmp_path / "a.pth"
        torch.save(content, path)
        line = initial_weights.check(trunks.load("convnet"), a_study(path))
        built = network.build(a_study(path), 8, 3)
        for key, value in state.items():
            assert torch.equal(built.trunk.state_dict()[key], value), (name, key)
        assert (f"{prefix!r} is taken off the names" in line) == bool(prefix), name
        assert ("left out: projector" in line) == (name == "with a projector")


@given(st.lists(st.sampled_from(["module", "backbone", "net", "a0", "x"]), max_size=4))
@settings(max_examples=20, deadline=None)
def test_any_words_may_stand_before_the_names(words: list[str]) -> None:
    state = a_trunk().state_dict()
    prefix = "".join(f"{word}." for word in words)
    fit = state_dicts.fitted(prefixed(prefix, state), state)
    assert (fit.prefix, fit.differences, fit.left_out) == (prefix, [], [])
    assert all(torch.equal(fit.state[key], value) for key, value in state.items())


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_early_torch_versions_load(zipped: bool, tmp_path: Path) -> None:
    """Vectors with a leading axis of 1, no counters of batches, a classifier, the old format."""
    source, path = torchvision.models.resnet18(), tmp_path / "old.pth"
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_()
    state = {
        key: value[None] if value.ndim == 1 else value
        for key, value in source.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert initial_weights.check(trunks.load("resnet18"), a_study(path, "resnet18")) == ""
    mine = network.build(a_study(path, "resnet18"), 8, 3).trunk.state_dict()
    for key, value in source.state_dict().items():
        assert key.startswith("fc.") or torch.equal(value, mine[key]), key


def test_safetensors_are_read_and_damaged_ones_refused(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    state, path = a_trunk(1).state_dict(), tmp_path / "a.bin"
    safetensors.save_file(prefixed("model.", state), path)
    built = network.build(a_study(path), 8, 3).trunk.state_dict()
    assert all(torch.equal(built[key], value) for key, value in state.items())
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(Problem, match=r"a\.bin is a damaged safetensors file"):
        state_dicts.read(path)


def test_without_the_package_a_safetensors_file_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(Problem, match="which the package safetensors reads; python -m pip install"):
        state_dicts.read(path)


class Code:
    """What a pickled model brings to life: a class of the one who saved it."""


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_needs_code_is_refused_by_the_name_of_the_code(
    zipped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "whole_model.pth"
    content = {"model": a_trunk(), "code": Code()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(Problem, match=r"only be read by running code of its own \(.*\), which is"):
        state_dicts.read(path)


def test_a_torchscript_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), path)
    with pytest.raises(Problem, match="is a TorchScript archive; save its state_dict"):
        state_dicts.read(path)


def test_what_is_no_state_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(Problem, match=re.escape(f'weights = "{path}": no such file; give')):
        state_dicts.read(path)
    others = (b"hi", b"GIF89a", b"\x80\x02.", b"version https://git-lfs.github.com/spec/v1\n")
    for content in (b"", b"<html>not here</html>", bytes(range(256)) * 9, *others):
        path.write_bytes(content)
        with pytest.raises(Problem, match=rf"a\.pth {NOT_READ}"):
            state_dicts.read(path)
    for nothing in ([1, 2], {}, {"epoch": 3, "model": {}}):
        torch.save(nothing, path)
        with pytest.raises(Problem, match=NOT_READ):
            state_dicts.read(path)


def test_a_state_that_does_not_fit_is_reported_with_trunk_difference_and_content(
    tmp_path: Path,
) -> None:
    state, path = a_trunk().state_dict(), tmp_path / "other.pth"
    faults = {
        r"0\.weight is missing \(1 difference": {k: v for k, v in state.items() if k != "0.weight"},
        r"16\.weight is not expected": {**state, "16.weight": torch.ones(2, 2)},
        r"1\.bias is \[5\], expected \[16\]": {**state, "1.bias": torch.ones(5)},
        r"m\.1\.bias is \[5\].*holds 24 tensors: 0, 1, 4, 5, 8, 9, 12, 13 under 'm\.'": prefixed(
            "m.", {**state, "1.bias": torch.ones(5)}
        ),
        r"0\.weight is missing \(20 differences\); it holds 1 tensors: a; give": {
            "a": torch.ones(1)
        },
        r"0\.weight is missing .* it holds 3 tensors: a, b under 'state_dict\.net\.'; give": {
            "state_dict": {"net.a.w": torch.ones(1), "net.b.w": torch.ones(1)},
            "optimizer": {"state": {"0": torch.ones(1)}},
        },
    }
    for message, wrong in faults.items():
        torch.save(wrong, path)
        pattern = rf"other\.pth does not fit the trunk convnet: {message}"
        for refuse in (network.check, lambda study: network.build(study, 8, 3)):
            with pytest.raises(Problem, match=pattern):
                refuse(a_study(path))


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_the_weights_of_a_common_resnet_are_recognised(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(prefixed("module.", getattr(torchvision.models, name)().state_dict()), path)
    known = {"resnet34": "torchvision:resnet34"}.get(name, name)
    outline = r"conv1, bn1, layer1, layer2, layer3, layer4, fc under 'module\.'"
    with pytest.raises(Problem, match=rf"{outline}, which fit the trunk {known}; give"):
        network.check(a_study(path, "resnet50"))


def test_a_file_that_holds_the_trunk_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    path, state = tmp_path / "two.pth", a_trunk().state_dict()
    torch.save({**prefixed("a.", state), **prefixed("b.", state)}, path)
    with pytest.raises(Problem, match=r"hold the trunk 2 times, under 'a\.', 'b\.'"):
        network.check(a_study(path))


def test_weights_of_half_precision_are_taken_as_float32(tmp_path: Path) -> None:
    path, state = tmp_path / "half.pth", a_trunk().state_dict()
    torch.save({key: value.half() for key, value in state.items()}, path)
    built = network.build(a_study(path), 8, 3).trunk
    assert {parameter.dtype for parameter in built.parameters()} == {torch.float32}
    assert torch.equal(built.get_parameter("0.weight"), state["0.weight"].half().float())


def test_a_trunk_for_grey_images_is_checked_with_either_number_of_channels(tmp_path: Path) -> None:
    for channels in (1, 3):
        path = tmp_path / f"{channels}.pth"
        torch.save(trunks.load("convnet").module(channels).state_dict(), path)
        assert network.check(a_study(path)) == ""
        network.build(a_study(path), 8, channels)


def test_the_record_names_a_file_by_its_checksum_and_a_library_s_weights_by_theirs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert network.weights_of(a_study(path)) == f"{path} (sha256 {digest})"
    assert network.weights_of(a_study("none")) == "none"
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    digest = hashlib.sha256(
        b"a [2, 3] torch.float32 "
        + tensors["a"].numpy().tobytes()
        + b"b [2] torch.bfloat16 "
        + bytes([0x80, 0x3F, 0x80, 0x3F])
    ).hexdigest()
    published = trunks.Published("a library's net.v1", True, lambda: tensors)
    trunk = trunks.Trunk(lambda _: nn.Identity(), 3, (0.0,), (1.0,), published=published)
    expected = f"imagenet (a library's net.v1, sha256 of its tensors {digest})"
    assert initial_weights.identity(trunk, a_study("imagenet")) == expected


def test_weights_that_are_not_imagenet_s_are_not_called_so() -> None:
    state = a_trunk().state_dict()
    published = trunks.Published("made net.v1", False, lambda: state)
    trunk = trunks.Trunk(trunks.load("convnet").module, 128, (0.0,), (1.0,), published=published)
    with pytest.raises(
        Problem, match=r"are not ImageNet's but made net\.v1; set weights = \"pretr"
    ):
        initial_weights.check(trunk, a_study("imagenet"))
    assert initial_weights.check(trunk, a_study("pretrained")) == ""


def test_a_wrong_file_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    from harness.engines import conductor

    path = tmp_path / "other.pth"
    torch.save({"a": torch.ones(1)}, path)
    images = tmp_path / "images"  # it is not even there
    with pytest.raises(Problem, match="does not fit the trunk convnet"):
        conductor.prepare(
            a_study(path),
            [f"folder:{images}"],
            ["contrastive"],
            results=tmp_path / "results",
            data_root=tmp_path / "data",
            notify=lambda *_: None,
        )
    assert not (tmp_path / "data").exists()
