from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from harness.schema import Part, Problem, Study
from harness.training import network, trunks, weights


def a_study(**changes: Any) -> Study:
    given: dict[str, Any] = {"name": "s", "trunk": "convnet", "weights": "none", "crop": 32}
    return Study(**{**given, **changes})


def grey_levels(*shape: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, shape).astype(np.float32))


def a_part(n: int = 23, side: int = 32) -> Part:
    images = np.random.default_rng(4).integers(0, 256, (n, side, side, 1), dtype=np.uint8)
    return Part(images, np.random.default_rng(5).permutation(n), np.arange(n) % 3)


# --- trunks and their normalisation ---------------------------------------------------------------


def test_bn_inception_is_fed_bgr_grey_levels_less_the_caffe_means() -> None:
    built = network.build(a_study(trunk="bn_inception"), 8, 3)
    images = grey_levels(2, 3, 4, 5)
    output = built.normalise(images).numpy()
    red, green, blue = images.numpy().transpose(1, 0, 2, 3)
    expected = np.stack([blue - 104, green - 117, red - 128], 1)
    np.testing.assert_allclose(output, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_resnets_checkpoint_gives_torchvisions_own_features(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = getattr(torchvision.models, name)()
    usual = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        theirs(usual(grey_levels(4, 3, 64, 64, seed=1) / 255))  # moves BatchNorm's statistics
    theirs.eval()
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    theirs.fc = nn.Identity()
    study = a_study(trunk=name, weights=str(tmp_path / "net.pth"), pooling="avg", layer_norm=False)
    built = network.build(study, 8, 3).eval()
    images = grey_levels(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(built.normalise(images), usual(images / 255))
        features = theirs(usual(images / 255))
        expected = features @ built.head.weight.T + built.head.bias
        error = (built(images) - expected).norm() / expected.norm()
    assert features.std(0).mean() > 1e-3  # they differ between the images
    assert error < 1e-4
    assert built.features == features.shape[1]


def test_imagenet_weights_come_from_the_trunks_own_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[weights.Checkpoint] = []
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "net.pth")

    def fetched(checkpoint: weights.Checkpoint) -> Path:
        wanted.append(checkpoint)
        return tmp_path / "net.pth"

    monkeypatch.setattr(weights, "fetch", fetched)
    built = network.build(a_study(trunk="resnet18", weights="imagenet"), 8, 3)
    assert wanted == [trunks.load("resnet18").checkpoint]
    saved = torch.load(tmp_path / "net.pth", weights_only=True)
    assert torch.equal(built.trunk.get_parameter("conv1.weight"), saved["conv1.weight"])


def test_the_resnets_published_files_are_torchvisions_first_version() -> None:
    models = torchvision.models
    published = {
        "resnet18": models.ResNet18_Weights.IMAGENET1K_V1,
        "resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    }
    for name, version in published.items():
        checkpoint = trunks.load(name).checkpoint
        assert checkpoint is not None
        assert checkpoint.url == version.url


# --- convnet, pooling, head -----------------------------------------------------------------------


def test_convnet_is_four_blocks_of_convolution_batchnorm_relu_and_pool() -> None:
    """The order in the code (pool, then ReLU) is this one, to the last gradient.

    In float64: in float32, rounding can move a near-tie of a pool to its other pixel, and with it a
    gradient by per cents.
    """
    built = network.build(a_study(), 8, 1).double()
    images = (grey_levels(6, 1, 32, 32).double() - 127.5) / 73.9
    x = images
    convs = [module for module in built.trunk.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.weight.shape[:2] for conv in convs] == [(16, 1), (32, 16), (64, 32), (128, 64)]
    for conv in convs:
        x = nn.functional.conv2d(x, conv.weight, padding=1)
        x = nn.functional.batch_norm(x, None, None, training=True)
        x = nn.functional.max_pool2d(nn.functional.relu(x), 2)
    output = built.trunk(images)
    torch.testing.assert_close(output, x, rtol=0, atol=1e-10)
    twin = torch.autograd.grad(x.square().sum(), convs[0].weight)[0]
    mine = torch.autograd.grad(output.square().sum(), convs[0].weight)[0]
    torch.testing.assert_close(mine, twin, rtol=0, atol=1e-10 * float(twin.abs().max()))


@pytest.mark.parametrize("pooling", ["avg", "max", "avg+max"])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_pooling_layer_norm_and_head_follow_their_formulas(pooling: str, layer_norm: bool) -> None:
    built = network.build(a_study(pooling=pooling, layer_norm=layer_norm), 5, 1).eval()
    images = grey_levels(3, 1, 32, 32)
    with torch.no_grad():
        maps = built.trunk((images - 127.5) / 73.9).double().numpy()
        output = built(images)
    average, maximum = maps.mean((2, 3)), maps.max((2, 3))
    features = {"avg": average, "max": maximum, "avg+max": average + maximum}[pooling]
    if layer_norm:
        spread = np.sqrt(features.var(1, keepdims=True) + 1e-5)
        features = (features - features.mean(1, keepdims=True)) / spread
    expected = features @ built.head.weight.detach().double().numpy().T
    np.testing.assert_allclose(output.numpy(), expected, rtol=1e-3, atol=1e-4)
    assert output.dtype == torch.float32


@pytest.mark.parametrize("dim", [64, 512])
@pytest.mark.parametrize("trunk", ["convnet", "resnet18"])
def test_the_initial_norm_is_the_mean_norm_of_raw_embeddings(trunk: str, dim: int) -> None:
    study = a_study(trunk=trunk)
    squares = []
    for seed in range(8):
        torch.manual_seed(seed)
        with torch.no_grad():
            out = network.build(study, dim, 3)(grey_levels(4, 3, 32, 32, seed=seed))
        squares.append(float(out.square().sum(1).mean()))
    # a sum of `dim` squared normals: relative deviation sqrt(2 / dim), over 8 independent heads
    tolerance = 4 * math.sqrt(2 / dim / 8)
    assert np.mean(squares) == pytest.approx(network.initial_norm(study) ** 2, rel=tolerance)


def test_the_initial_norm_needs_layer_norm() -> None:
    assert network.initial_norm(a_study(trunk="resnet50")) == 64
    with pytest.raises(Problem, match="without layer_norm"):
        network.initial_norm(a_study(layer_norm=False))


def test_the_global_generator_alone_decides_the_weights() -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(network.build(a_study(), 8, 1).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])
    assert not torch.equal(states[0]["trunk.0.weight"], states[2]["trunk.0.weight"])
    assert not states[0]["head.bias"].any()


def test_grey_images_are_seen_three_times_by_trunks_for_colour() -> None:
    images = grey_levels(2, 1, 32, 32)
    for trunk in ("resnet18", "bn_inception"):
        torch.manual_seed(3)
        grey = network.build(a_study(trunk=trunk), 8, 1).eval()
        torch.manual_seed(3)
        colour = network.build(a_study(trunk=trunk), 8, 3).eval()
        with torch.no_grad():
            torch.testing.assert_close(grey(images), colour(images.repeat(1, 3, 1, 1)))


# --- BatchNorm, precision, embed ------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_statistics_stay_through_training_and_scale_and_shift_learn(frozen: bool) -> None:
    built = network.build(a_study(freeze_batch_norm=frozen), 8, 1)
    norms = [module for module in built.trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    for change in (built.train, built.eval, built.train, lambda: built.train(True)):
        change()
        assert all(norm.training == (built.training and not frozen) for norm in norms)
    before = [{key: value.clone() for key, value in norm.named_buffers()} for norm in norms]
    built(grey_levels(8, 1, 32, 32)).square().sum().backward()
    for norm, buffers in zip(norms, before, strict=True):
        for key, value in norm.named_buffers():
            assert torch.equal(value, buffers[key]) == frozen, key
        assert norm.weight.grad is not None
        assert norm.weight.grad.abs().sum() > 0


def test_bf16_is_used_when_the_study_says_so_and_embeddings_stay_float32() -> None:
    images = grey_levels(4, 1, 32, 32)
    outputs = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        outputs[precision] = network.build(a_study(precision=precision), 16, 1).eval()(images)
    assert outputs["bf16"].dtype == outputs["fp32"].dtype == torch.float32
    error = (outputs["bf16"] - outputs["fp32"]).norm() / outputs["fp32"].norm()
    assert 1e-4 < error < 5e-2
    outputs["bf16"].sum().backward()


@pytest.mark.parametrize("mode", [True, False])
def test_embed_keeps_the_parts_order_and_the_networks_mode(mode: bool) -> None:
    study, part = a_study(evaluate_batch=7), a_part()
    built = network.build(study, 6, 1).train(mode)
    output = network.embed(built, part, study, torch.device("cpu"))
    assert built.training == mode
    built.eval()
    for position, number in enumerate(part.index):
        image = torch.from_numpy(part.images[int(number)]).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(output[position], built(image)[0], rtol=1e-4, atol=1e-4)
    assert output.shape == (23, 6)
    assert not output.requires_grad
    scale = torch.ones(6, requires_grad=True)  # fit for use in a loss
    torch.testing.assert_close(torch.autograd.grad((output * scale).sum(), scale)[0], output.sum(0))


def test_a_cpu_embeds_many_large_images_in_parts_and_the_embeddings_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, part = a_study(evaluate_batch=20), a_part()
    built = network.build(study, 6, 1)
    whole = network.embed(built, part, study, torch.device("cpu"))
    sizes: list[int] = []
    built.trunk.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(network, "PIXELS", 8 * 32 * 32)
    in_parts = network.embed(built, part, study, torch.device("cpu"))
    assert sizes == [8, 8, 4, 3]
    torch.testing.assert_close(in_parts, whole, rtol=1e-5, atol=1e-5)


def test_embed_puts_the_mode_back_after_an_error() -> None:
    study = a_study(crop=48)
    built = network.build(study, 6, 1)
    with pytest.raises(Problem, match="smaller than the crop of 48"):
        network.embed(built, a_part(), study, torch.device("cpu"))
    assert built.training


@pytest.mark.parametrize(
    ("changes", "channels", "message"),
    [
        (
            {"trunk": "resnet51"},
            3,
            "trunk 'resnet51' is not known; did you mean 'resnet50'. the known",
        ),
        ({}, 2, "images of 2 channels"),
        ({"weights": "imagenet"}, 1, 'no ImageNet weights; set weights = "none"'),
        ({"weights": "absent.pth"}, 1, 'weights = "absent.pth": no such file'),
    ],
)
def test_what_cannot_be_built_is_a_problem(
    changes: dict[str, Any], channels: int, message: str
) -> None:
    with pytest.raises(Problem, match=message):
        network.build(a_study(**changes), 8, channels)
