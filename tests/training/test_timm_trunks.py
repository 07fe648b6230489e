"""timm:NAME against timm's own networks: feature maps and tokens, sizes, weights by file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.schema import Problem, Study
from harness.training import initial_weights, network, trunks
from harness.training.computable import adapt_to_trunk

timm = pytest.importorskip("timm")

# timm's own networks for tests, made for 160 px with few weights, and a small other one
MAPS = ["test_resnet", "test_efficientnet", "test_convnext", "mobilenetv3_small_050"]


def a_study(trunk: str, weights: object = "none", **changes: Any) -> Study:
    given: dict[str, Any] = {"pooling": "avg", "crop": 64, "resize": 64, "layer_norm": False}
    given |= changes
    return Study(name="s", trunk=f"timm:{trunk}", weights=str(weights), **given)


def grey_levels(crop: int = 64) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (2, 3, crop, crop)).astype(np.float32))


def theirs(name: str, path: Path, **options: Any) -> nn.Module:
    """timm's network with random weights, which are saved; BatchNorm's statistics have moved."""
    torch.manual_seed(3)
    model: nn.Module = timm.create_model(name, pretrained=False, **options)
    with torch.no_grad():
        side = options.get("img_size", 64)
        model(torch.randn(4, 3, side, side))
    torch.save(model.state_dict(), path)
    return model.eval()


def normalised(model: Any, images: Tensor) -> Tensor:
    config = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    return (images / 255 - mean) / std


@pytest.mark.parametrize("pooling", ["avg", "avg+max", "trunk"])
@pytest.mark.parametrize("name", MAPS)
def test_a_network_with_a_feature_map_is_pooled_by_the_study_or_by_itself(
    name: str, pooling: str, tmp_path: Path
) -> None:
    model: Any = theirs(name, tmp_path / "net.pth")
    built = network.build(a_study(name, tmp_path / "net.pth", pooling=pooling), 8, 3).eval()
    with torch.no_grad():
        feature_map = model.forward_features(normalised(model, grey_levels()))
        expected = {
            "avg": feature_map.mean((2, 3)),
            "avg+max": feature_map.mean((2, 3)) + feature_map.amax((2, 3)),
            "trunk": model.forward_head(feature_map, pre_logits=True),
        }[pooling]
        features = built.pooled(built.trunk, grey_levels())
    assert features.shape == (2, built.features)
    assert expected.std(0).norm() > 0
    torch.testing.assert_close(
        features, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max())
    )


def test_tokens_are_pooled_as_the_network_s_classifier_is_fed(tmp_path: Path) -> None:
    model: Any = theirs("test_vit", tmp_path / "net.pth", img_size=64)
    study = a_study("test_vit", tmp_path / "net.pth", pooling="trunk")
    built = network.build(study, 8, 3).eval()
    with torch.no_grad():
        logits = model(normalised(model, grey_levels()))
        features = built.pooled(built.trunk, grey_levels())
        torch.testing.assert_close(model.get_classifier()(features), logits)
    assert built.features == 64


@pytest.mark.slow
def test_a_map_with_its_channels_last_is_turned(tmp_path: Path) -> None:
    model: Any = theirs("swin_tiny_patch4_window7_224", tmp_path / "net.pth", img_size=64)
    built = network.build(
        a_study("swin_tiny_patch4_window7_224", tmp_path / "net.pth"), 8, 3
    ).eval()
    with torch.no_grad():
        expected = model.forward_features(normalised(model, grey_levels())).mean((1, 2))
        features = built.pooled(built.trunk, grey_levels())
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


def test_a_study_of_a_trunk_of_tokens_is_told_that_it_pools_by_itself() -> None:
    study = a_study("test_vit", per_dataset={"cub": {"trunk": "convnet"}, "sop": {"dim": 64}})
    with pytest.raises(Problem, match="tokens and no feature map, so pooling = 'avg' is not for"):
        network.build(study, 8, 3)
    adapted, lines = adapt_to_trunk(study, ["cub", "sop", "cars"])
    poolings = {name: adapted.for_dataset(name).pooling for name in ("cub", "sop", "cars", "x")}
    assert poolings == {"cub": "avg", "sop": "trunk", "cars": "trunk", "x": "avg"}
    assert adapted.for_dataset("sop").dim == 64
    tokens, made_for = lines
    assert 'pooling is "trunk" in place of the study\'s "avg", and every record says so' in tokens
    assert "made for images of 160 px, resized by bicubic interpolation; here they are" in made_for
    network.build(adapted.for_dataset("sop"), 8, 3)
    assert adapt_to_trunk(adapted, ["sop"]) == (adapted, (made_for,))


def test_a_study_of_this_program_s_own_trunk_stays_as_it_is() -> None:
    study = Study(name="s", per_dataset={"sop": {"trunk": "bn_inception", "dim": 3}})
    assert adapt_to_trunk(study, ["sop", "cub"]) == (study, ())
    assert adapt_to_trunk(study, ["sop", "cub"])[0].digest() == study.digest()


def test_what_other_datasets_of_the_study_would_need_is_not_asked() -> None:
    study = Study(name="s", trunk="no_such_trunk", per_dataset={"sop": {"trunk": "convnet"}})
    assert adapt_to_trunk(study, ["sop"]) == (study, ())
    with pytest.raises(Problem, match="'no_such_trunk' is not known"):
        adapt_to_trunk(study, ["sop", "cub"])


def test_a_trunk_that_cannot_be_folded_is_evaluated_as_it_stands_and_a_line_says_so() -> None:
    study = a_study("tf_efficientnet_lite0", fold_batch_norm=True)
    adapted, lines = adapt_to_trunk(study, ["cub"])
    assert not adapted.for_dataset("cub").fold_batch_norm
    assert any("cannot be folded in evaluation (TraceError" in line for line in lines)
    folded = a_study("test_resnet", fold_batch_norm=True)
    assert adapt_to_trunk(folded, ["cub"])[0] == folded


def test_mean_deviation_and_features_are_timm_s() -> None:
    trunk = trunks.load("timm:vit_tiny_patch16_224", pooling="trunk")
    assert (trunk.mean, trunk.std) == ((127.5,) * 3, (127.5,) * 3)
    assert (trunk.features, trunk.side, trunk.interpolation) == (192, 224, "bicubic")
    assert trunks.load("timm:resnet18").mean == pytest.approx([123.675, 116.28, 103.53])
    # behind its own pooling stands a convolution that widens
    widths = [
        trunks.load("timm:mobilenetv3_small_050", pooling=p).features for p in ("avg", "trunk")
    ]
    assert widths == [288, 1024]


def test_a_fixed_network_is_built_for_the_study_s_crop_or_says_which_it_takes(
    tmp_path: Path,
) -> None:
    study = a_study("vit_tiny_patch16_224", pooling="trunk", crop=32)
    assert network.build(study, 8, 3).trunk.model.pos_embed.shape == (1, 1 + 4, 192)
    with pytest.raises(
        Problem, match=r"gives no features of crops of 65 px.*set crop = 224, and re"
    ):
        trunks.load("timm:levit_128s", pooling="trunk", crop=65)


def test_weights_of_another_size_are_resampled_by_timm_s_own_filter(tmp_path: Path) -> None:
    given: Any = theirs("test_vit", tmp_path / "net.pth", img_size=160)
    with torch.no_grad():
        given.pos_embed.normal_()
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in given.state_dict().items()}}, tmp_path / "a"
    )
    study = a_study("test_vit", tmp_path / "a", pooling="trunk")
    assert "'state_dict.module.' is taken off the names" in network.check(study)
    built = network.build(study, 8, 3).trunk.model
    from timm.layers import resample_abs_pos_embed

    expected = resample_abs_pos_embed(given.pos_embed, [4, 4], num_prefix_tokens=1)
    torch.testing.assert_close(built.pos_embed, expected)
    assert torch.equal(built.blocks[0].attn.qkv.weight, given.blocks[0].attn.qkv.weight)


def test_another_network_s_weights_are_refused_and_nothing_is_left_random(tmp_path: Path) -> None:
    theirs("test_convnext", tmp_path / "other.pth")
    with pytest.raises(
        Problem, match=r"other\.pth does not fit the trunk timm:test_resnet: .* dif"
    ):
        network.check(a_study("test_resnet", tmp_path / "other.pth"))
    state = torch.load(tmp_path / "other.pth")
    del state["stages.0.blocks.0.norm.weight"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(Problem, match=r"stages\.0\.blocks\.0\.norm\.weight is missing \(1 diff"):
        network.check(a_study("test_convnext", tmp_path / "short.pth"))


def test_a_network_that_computes_while_it_is_built_is_a_trunk_too() -> None:
    assert trunks.load("timm:vit_tiny_r_s16_p8_224", pooling="trunk").features == 192
    network.check(a_study("vit_tiny_r_s16_p8_224", pooling="trunk", crop=224))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "vit_smal_patch16_224",
            "is not known; did you mean 'timm:vit_small_patch16_224'. timm has",
        ),
        (
            "resnet18.a1_in2k",
            r"timm has no weights of that tag; its tags of resnet18 are a1_in1k, ",
        ),
        ("deepseek_vit_412m_enc", r"gives no features of crops of 224 px \(NotImplementedError"),
    ],
)
def test_a_name_that_cannot_be_a_trunk_is_one_line(name: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        trunks.load(f"timm:{name}", pooling="trunk")


def test_without_the_package_its_trunks_are_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(Problem, match="need the package timm; python -m pip install timm"):
        trunks.load("timm:some_other_name")


def test_published_weights_come_from_timm_under_their_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the hub: timm itself is asked for the network and its weights."""
    create, library = timm.create_model, trunks.library_of("timm")
    torch.manual_seed(5)
    hub = create("test_resnet", pretrained=False)

    def from_hub(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
        model: nn.Module = create(name, pretrained=False, **options)
        if pretrained:
            assert name == "test_resnet.r160_in1k"
            model.load_state_dict(hub.state_dict())
        return model

    monkeypatch.setattr(timm, "create_model", from_hub)
    library.fetched.cache_clear()
    study = a_study("test_resnet.r160_in1k", "imagenet")
    built = network.build(study, 8, 3).trunk.model.state_dict()
    assert all(torch.equal(value, hub.state_dict()[key]) for key, value in built.items())
    named = network.weights_of(study)
    assert named.startswith("imagenet (timm test_resnet.r160_in1k, sha256 of its tensors ")
    library.fetched.cache_clear()
    initial_weights.digest_of.cache_clear()


def test_weights_that_cannot_be_fetched_are_one_line_and_others_than_imagenet_s_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_hub(*_args: object, **_options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", no_hub)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", no_hub)
    with pytest.raises(
        Problem, match=r"timm cannot fetch the weights of test_resnet from timm/.*no ne"
    ):
        network.check(a_study("test_resnet", "imagenet"))
    dino = a_study("vit_small_patch14_dinov2", "imagenet", pooling="trunk", crop=28)
    with pytest.raises(Problem, match=r"not ImageNet's but timm vit_small_patch14_dinov2\.lvd142m"):
        network.check(dino)
    with pytest.raises(Problem, match="has no published weights"):
        network.check(a_study("mixer_s16_224", "pretrained", pooling="trunk", crop=224))


@pytest.mark.slow
def test_a_network_of_every_third_family_of_timm_is_a_trunk_or_one_clear_line() -> None:
    """The shortest name of every third module of timm, at its own size, by shapes alone."""
    refused = {}
    for module in timm.list_modules()[::3]:
        for name in sorted(timm.list_models(module=module), key=len)[:1]:
            side = int(timm.get_pretrained_cfg(name).input_size[1])
            try:
                pooling = "avg" if trunks.has_feature_map(f"timm:{name}", side) else "trunk"
                trunk = trunks.load(f"timm:{name}", pooling=pooling, crop=side)
            except Problem as problem:
                refused[name] = str(problem)
                continue
            built = trunks._outline.outline(lambda trunk=trunk: trunk.module(3))
            given = trunks._outline.output(built, built, side)
            assert given.shape[:2] == (2, trunk.features), name
            assert given.ndim == (4 if pooling == "avg" else 2), name
    assert all("gives no features of crops" in line for line in refused.values())
    assert len(refused) <= 2, refused
