"""torchvision:NAME against torchvision's whole networks: the same function up to the classifier."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from harness.schema import Problem, Study
from harness.training import initial_weights, network, state_dicts, trunks

QUICK = ["resnet18", "mobilenet_v3_small", "densenet121"]
SLOW = [
    *("efficientnet_b0", "shufflenet_v2_x0_5", "mobilenet_v2", "regnet_y_400mf", "squeezenet1_1"),
    *("alexnet", "vgg11_bn", "inception_v3", "maxvit_t", "convnext_tiny", "swin_t", "googlenet"),
]
FAMILIES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def crop_of(name: str) -> int:
    return {"inception_v3": 96, "maxvit_t": 224}.get(name, 64)


def whole(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(2)
    if name == "maxvit_t":
        options = {"input_size": (224, 224)}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False}
    model: nn.Module = models.get_model(name, weights=None, **options).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:  # takes the statistics of a batch, for deep networks vanish without any
        norm.train().momentum = 1.0
    with torch.no_grad():
        model(images(options.get("image_size", crop_of(name))))
    return model.eval()


def filled(name: str, pooling: str, model: nn.Module, crop: int) -> tuple[trunks.Trunk, nn.Module]:
    """The trunk with the weights of torchvision's network, found as in a file."""
    trunk = trunks.load(f"torchvision:{name}", pooling=pooling, crop=crop)
    module = trunk.module(3).eval()
    fit = state_dicts.fitted(model.state_dict(), module.state_dict(), unused=trunk.classifier)
    assert (fit.differences, fit.left_out) == ([], [])
    state = module.state_dict()
    state.update(fit.state)
    module.load_state_dict(state)
    return trunk, module


def images(crop: int) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(0, 1, (2, 3, crop, crop)).astype(np.float32))


def logits_of_map(model: Any, feature_map: Tensor) -> Tensor:
    """What torchvision's network does behind its last feature map."""
    last = next(
        getattr(model, name) for name in ("classifier", "fc", "head") if hasattr(model, name)
    )
    if isinstance(model, (models.MaxVit, models.SqueezeNet)):
        return last(feature_map).flatten(1)
    pool = getattr(model, "avgpool", nn.AdaptiveAvgPool2d(1))
    pooled = pool(feature_map)
    return last(pooled if isinstance(model, models.ConvNeXt) else pooled.flatten(1))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_feature_map_is_the_one_behind_which_torchvision_pools(name: str) -> None:
    model, crop = whole(name), crop_of(name)
    trunk, module = filled(name, "avg", model, crop)
    with torch.no_grad():
        feature_map = module(images(crop))
        logits = logits_of_map(model, feature_map)
        expected = model(images(crop))
    assert feature_map.shape[:2] == (2, trunk.features)
    assert expected.std(0).norm() > 1e-6 * expected.norm()  # the images differ
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", [*FAMILIES, pytest.param("vit_b_32", marks=pytest.mark.slow)])
def test_pooled_by_itself_the_last_linear_layer_is_all_that_is_missing(name: str) -> None:
    model, crop = whole(name, **({"image_size": 64} if name == "vit_b_32" else {})), crop_of(name)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if name == "vit_b_32":
        nn.init.normal_(linear[-1].weight)  # zeros at the start, which any features would give
    trunk, module = filled(name, "trunk", model, crop)
    with torch.no_grad():
        expected = model(images(crop))
        features = module(images(crop))
    assert trunk.pools
    assert features.shape == (2, trunk.features)
    if not linear:  # SqueezeNet: its classifier is a convolution before the pooling
        with torch.no_grad():
            feature_map = filled(name, "avg", model, crop)[1](images(crop))
        torch.testing.assert_close(features, feature_map.mean((2, 3)))
        return
    logits = linear[-1](features)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_no_dropout_of_a_classifier_is_left() -> None:
    for name in ("alexnet", "efficientnet_b0", "vit_b_32"):
        with trunks._outline.without_memory():
            module = trunks.load(f"torchvision:{name}", pooling="trunk", crop=64).module(3)
        left = {n for n, m in module.named_modules() if isinstance(m, nn.Dropout) and m.p > 0}
        assert not left


def smallest_and_largest() -> list[str]:
    """Two networks of each of torchvision's files, by the size of their weights."""
    by_file: dict[str, list[tuple[int, str]]] = {}
    for name in models.list_models(module=models):
        size = models.get_model_weights(name).DEFAULT.meta["num_params"]
        by_file.setdefault(models.get_model_builder(name).__module__, []).append((size, name))
    return sorted({name for sizes in by_file.values() for _, name in (min(sizes), max(sizes))})


@pytest.mark.slow
@pytest.mark.parametrize("name", smallest_and_largest())
def test_networks_of_every_kind_are_a_trunk_or_one_clear_line(name: str) -> None:
    """At its weights' own size, under the pooling of the study and its own; by shapes alone."""
    side = int(models.get_model_weights(name).DEFAULT.transforms().crop_size[0])
    for pooling in ("avg", "trunk"):
        if name.startswith("vit_") and pooling == "avg":
            with pytest.raises(Problem, match=r'tokens and no feature map.*pooling = "trunk"'):
                trunks.load(f"torchvision:{name}", pooling=pooling, crop=side)
            continue
        trunk = trunks.load(f"torchvision:{name}", pooling=pooling, crop=side)
        with trunks._outline.without_memory():
            module = trunk.module(3)
        given = trunks._outline.output(module, module, side)
        assert given.shape[:2] == (2, trunk.features)
        assert given.ndim == (2 if pooling == "trunk" else 4)
        assert all(0 < value < 255 for value in (*trunk.mean, *trunk.std))


def test_mean_and_deviation_are_those_of_the_default_weights() -> None:
    resnet = trunks.load("torchvision:resnet18")
    assert resnet.mean == pytest.approx([0.485 * 255, 0.456 * 255, 0.406 * 255])
    assert resnet.std == pytest.approx([0.229 * 255, 0.224 * 255, 0.225 * 255])
    assert trunks.load("torchvision:efficientnet_v2_l").mean == pytest.approx([127.5] * 3)


def test_the_inceptions_take_what_their_weights_make_of_imagenet_s_normalisation() -> None:
    x = torch.rand(2, 3, 96, 96)
    usual = models.GoogLeNet_Weights.DEFAULT.transforms()
    theirs = (x - torch.tensor(usual.mean).view(3, 1, 1)) / torch.tensor(usual.std).view(3, 1, 1)
    model = models.googlenet(weights=None, transform_input=True, init_weights=False)
    trunk = trunks.load("torchvision:googlenet", crop=96)
    torch.testing.assert_close(
        (255 * x - torch.tensor(trunk.mean)) / torch.tensor(trunk.std),
        model._transform_input(theirs),
        rtol=0,
        atol=1e-5,
    )


def test_crops_that_a_network_does_not_take_are_one_line_with_those_it_does() -> None:
    with pytest.raises(
        Problem, match=r"maxvit_t gives no features of crops of 100 px \(.*set crop"
    ):
        trunks.load("torchvision:maxvit_t", crop=100)
    with pytest.raises(Problem, match="made for 299 px: set crop = 299, and resize to that or mo"):
        trunks.load("torchvision:inception_v3", crop=40)


def test_a_name_that_torchvision_has_not_gives_the_nearest_one() -> None:
    with pytest.raises(Problem, match="'torchvision:resnet51' is not known; did you mean 'torchv"):
        trunks.load("torchvision:resnet51")
    with pytest.raises(
        Problem, match=r"'resnet34' is not known; did you mean 'torchvision:resnet34'"
    ):
        trunks.load("resnet34")


@pytest.mark.slow
def test_a_vision_transformer_takes_weights_of_another_size_resampled(tmp_path: Path) -> None:
    path = tmp_path / "vit.pth"
    state = models.vit_b_32(image_size=64).state_dict()
    state["encoder.pos_embedding"].normal_()
    torch.save({"model": state}, path)
    study = Study(
        name="s", trunk="torchvision:vit_b_32", weights=str(path), pooling="trunk", crop=96
    )
    network.check(study)
    positions = network.build(study, 8, 3).trunk.get_parameter("encoder.pos_embedding")
    given = state["encoder.pos_embedding"]
    assert torch.equal(positions[:, 0], given[:, 0])  # the class token's has no place
    grid = positions[0, 1:].view(3, 3, -1)
    corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
    for (y, x), old in zip(corners, given[0, 1:], strict=True):
        torch.testing.assert_close(grid[y, x], old)


def test_default_weights_that_cannot_be_fetched_are_one_line_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def no_network(*_args: object, **_options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    study = Study(name="s", trunk="torchvision:resnet34", weights="imagenet")
    url = re.escape("https://download.pytorch.org/models/resnet34-b627a593.pth")
    with pytest.raises(Problem, match=rf"cannot fetch {url} \(no network\); fetch it where"):
        network.check(study)


def test_default_weights_are_taken_from_torch_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    state = models.resnet34().state_dict()
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / "resnet34-b627a593.pth")
    study = Study(name="s", trunk="torchvision:resnet34", weights="imagenet")
    trunks.library_of("torchvision").fetched.cache_clear()
    built = network.build(study, 8, 3)
    assert torch.equal(
        built.trunk.get_parameter("layer4.2.conv2.weight"), state["layer4.2.conv2.weight"]
    )
    weights = network.weights_of(study)
    assert weights.startswith("imagenet (torchvision ResNet34_Weights.IMAGENET1K_V1, sha256 of its")
    trunks.library_of("torchvision").fetched.cache_clear()
    initial_weights.digest_of.cache_clear()


def test_layers_that_keep_a_version_of_their_own_are_loaded(tmp_path: Path) -> None:
    """MNASNet refuses a state_dict without it."""
    state = models.mnasnet0_5().state_dict()
    torch.save({"model": dict(state)}, tmp_path / "net.pth")
    study = Study(
        name="s", trunk="torchvision:mnasnet0_5", weights=str(tmp_path / "net.pth"), crop=64
    )
    for pooling in ("avg", "trunk"):
        built = network.build(dataclasses.replace(study, pooling=pooling), 8, 3)
        assert torch.equal(built.trunk.get_parameter("layers.0.weight"), state["layers.0.weight"])
