"""What one writes without this harness: a DataLoader with PIL transforms and PML's classes.

Tuned as its users tune it: as many loader processes as cores, pinned memory, processes that persist
between epochs, k = "max_bin_count". The networks compute the same functions as the harness's. They
are built in the same order from the same seed, in the default layout and float32.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from harness.schema import Problem, Study
from harness.training.trunks.bn_inception import BNInception

METRICS = {
    "map_at_r": "mean_average_precision_at_r",
    "r_precision": "r_precision",
    "precision_at_1": "precision_at_1",
}
BLOCK = 256  # queries at once without faiss
Files = Sequence[tuple[Path, int]]


def has_faiss() -> bool:
    """Whether faiss is installed, by which PML searches neighbours."""
    return importlib.util.find_spec("faiss") is not None


def without_faiss() -> str:
    """What a row adds to its name if its baseline lacks faiss; nothing where it is installed."""
    return "" if has_faiss() else " (baseline without faiss)"


def workers() -> int:
    """Loader processes: the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ImageFiles(Dataset[tuple[Any, int]]):
    """Image files with labels, decoded and transformed on access."""

    def __init__(self, files: Files, transform: Any, mode: str = "RGB") -> None:
        self.files, self.transform, self.mode = files, transform, mode

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.files[index]
        with Image.open(path) as opened:
            image = opened.convert(self.mode)
        return self.transform(image), label


def train_transform(study: Study, mean: Sequence[float], std: Sequence[float]) -> Any:
    """PIL transforms of a study's training images; mean and deviation of values 0..1."""
    steps: list[Any] = []
    if study.train_crop == "random_resized_crop":
        steps += [
            transforms.Resize(study.resize),
            transforms.RandomResizedCrop(
                study.crop, scale=study.crop_scale, ratio=study.crop_ratio
            ),
        ]
    elif study.train_crop == "random_crop":
        steps += [transforms.Resize(study.resize), transforms.RandomCrop(study.crop)]
    if study.flip:
        steps.append(transforms.RandomHorizontalFlip(study.flip))
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(mean, std)])


def test_transform(study: Study, mean: Sequence[float], std: Sequence[float]) -> Any:
    """PIL transforms of a study's test images."""
    return transforms.Compose(
        [
            transforms.Resize(study.resize),
            transforms.CenterCrop(study.crop),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )


def loader(dataset: ImageFiles, batch: int, device: torch.device, sampler: Any = None) -> Any:
    """A tuned DataLoader of training batches."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=sampler,
        shuffle=sampler is None,
        drop_last=True,
        num_workers=workers(),
        pin_memory=device.type == "cuda",
        persistent_workers=True,
    )


class Embedder(nn.Module):
    """Feature map [B, F, h, w] -> embeddings [B, dim]: pooling, LayerNorm, linear layer."""

    def __init__(self, study: Study, features: int, dim: int) -> None:
        super().__init__()
        self.pooling, self.layer_norm, self.features = study.pooling, study.layer_norm, features
        self.head = nn.Linear(features, dim)
        nn.init.kaiming_normal_(self.head.weight, mode="fan_out")
        nn.init.zeros_(self.head.bias)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Embeddings as they are, not normalised."""
        average = F.adaptive_avg_pool2d(feature_map, 1).flatten(1)
        highest = F.adaptive_max_pool2d(feature_map, 1).flatten(1)
        features = {"avg": average, "max": highest, "avg+max": average + highest}[self.pooling]
        if self.layer_norm:
            features = F.layer_norm(features, (self.features,))
        embeddings: Tensor = self.head(features)
        return embeddings


def models(study: Study, dim: int, channels: int) -> dict[str, nn.Module]:
    """The study's trunk and embedder under the names that PML's trainer wants, without weights."""
    if study.trunk in ("resnet50", "resnet18"):
        classifier = getattr(torchvision.models, study.trunk)()
        trunk: nn.Module = nn.Sequential(*list(classifier.children())[:-2])
        features = classifier.fc.in_features
    elif study.trunk == "bn_inception":
        trunk, features = BNInception(), 1024
    elif study.trunk == "convnet":
        trunk, features = _convnet(channels), 128
    else:
        raise Problem(f"the baseline has no trunk {study.trunk!r}")
    return {"trunk": trunk, "embedder": Embedder(study, features, dim)}


def _convnet(channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for width in (16, 32, 64, 128):
        conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers)


class ForTrainer(nn.Module):
    """A loss of two arguments for PML's trainer, which gives three; `unit` normalises for it."""

    def __init__(self, loss: nn.Module, unit: bool) -> None:
        super().__init__()
        self.loss, self.unit = loss, unit

    def forward(self, embeddings: Tensor, labels: Tensor, _tuples: Any = None) -> Tensor:
        """The loss of the batch; mined tuples are not used."""
        value: Tensor = self.loss(F.normalize(embeddings) if self.unit else embeddings, labels)
        return value


def trainer(
    parts: dict[str, nn.Module],
    loss: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    dataset: Any,
    *,
    batch: int,
    device: torch.device,
    **options: Any,
) -> Any:
    """PML's MetricLossOnly over the dataset, without progress bars; `options` go to it."""
    quiet()
    from pytorch_metric_learning.trainers import MetricLossOnly

    return MetricLossOnly(
        models=parts,
        optimizers=optimizers,
        batch_size=batch,
        loss_funcs={"metric_loss": loss},
        dataset=dataset,
        data_device=device,
        **options,
    )


def tester(*, unit: bool, device: torch.device, batch: int, loaders: int) -> Any:
    """PML's GlobalEmbeddingSpaceTester with an AccuracyCalculator of the three scores."""
    quiet()
    from pytorch_metric_learning.testers import GlobalEmbeddingSpaceTester

    return GlobalEmbeddingSpaceTester(
        normalize_embeddings=unit,
        batch_size=batch,
        dataloader_num_workers=loaders,
        data_device=device,
        accuracy_calculator=calculator(device),
    )


def calculator(device: torch.device) -> Any:
    """PML's AccuracyCalculator; it ranks no more neighbours than the largest class holds."""
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    return AccuracyCalculator(
        include=tuple(METRICS.values()), k="max_bin_count", device=device, knn_func=neighbours()
    )


def neighbours() -> Any:
    """PML's search of neighbours: faiss's flat index, or blocks in torch where there is none."""
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.inference import CustomKNN, FaissKNN

    if has_faiss():
        return FaissKNN()
    return CustomKNN(LpDistance(normalize_embeddings=False), batch_size=BLOCK)


def quiet() -> None:
    """Switch PML's progress bars off: they would cost it time and hide the report."""
    from pytorch_metric_learning.testers import base_tester
    from pytorch_metric_learning.trainers import base_trainer

    bar = functools.partial(importlib.import_module("tqdm").tqdm, disable=True)
    silent = types.SimpleNamespace(tqdm=bar)
    base_tester.tqdm = base_trainer.tqdm = silent
