from __future__ import annotations

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.schema import Study
from harness.training import network
from harness.training.trunks.bn_inception import BNInception

GOLDEN = Path(__file__).parents[1] / "golden" / "bn_inception.npz"


def made_up(key: str, shape: list[int]) -> Tensor:
    """The made-up weights behind the golden numbers: v = sin(0.7390851 k + phase(key))."""
    phase = zlib.crc32(key.encode()) % 1000 / 1000 * 2 * math.pi
    v = np.sin(0.7390851 * np.arange(math.prod(shape)) + phase).reshape(shape)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if key.endswith("running_var"):
        v = 1 + 0.5 * v
    elif key.endswith("running_mean"):
        v = 0.1 * v
    elif key.endswith("bias"):
        v = 0.05 * v
    elif len(shape) == 1:
        v = 1 + 0.2 * v
    else:
        v = v * math.sqrt(2 / math.prod(shape[1:]))
    return torch.from_numpy(v.astype(np.float32))


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(GOLDEN) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def checkpoint(golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up weights in a file like the published one: vectors with a leading axis of 1."""
    state = {key: made_up(key, shape) for key, shape in json.loads(str(golden["keys"]))}
    path: Path = tmp_path_factory.mktemp("weights") / "bn_inception.pth"
    torch.save({key: v[None] if v.ndim == 1 else v for key, v in state.items()}, path)
    return path


def test_bn_inception_has_the_published_keys_and_shapes(golden: dict[str, Any]) -> None:
    published = [(key, shape) for key, shape in json.loads(str(golden["keys"]))]
    mine = [(key, list(value.shape)) for key, value in BNInception().state_dict().items()]
    assert mine == [item for item in published if not item[0].startswith("last_linear.")]


def test_bn_inception_gives_the_published_networks_features(
    golden: dict[str, Any], checkpoint: Path
) -> None:
    study = Study(name="s", trunk="bn_inception", weights=str(checkpoint))
    trunk = network.build(study, 8, 3).trunk.eval()
    for seed, side in ((0, 224), (1, 227)):
        rng = np.random.default_rng(seed)
        images = rng.uniform(-100, 140, (2, 3, side, side)).astype(np.float32)
        with torch.no_grad():
            out = trunk(torch.from_numpy(images))
        features = {f"features_mean_{side}": out.mean((2, 3))}
        if side == 224:
            logits = features["features_mean_224"] @ made_up("last_linear.weight", [1000, 1024]).T
            features["logits_224"] = logits + made_up("last_linear.bias", [1000])
            features["features_224"] = out[:, :, :3, :3]
            features["features_max_224"] = out.amax((2, 3))
        else:
            assert list(out.shape) == golden["features_shape_227"].tolist()
        for key, value in features.items():
            error = np.abs(value.numpy() - golden[key]).max() / np.abs(golden[key]).max()
            assert error < 2e-5, key
