"""Embedding a split: images on disk to one embedding each."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from harness.commands.bench import by_hand
from harness.commands.bench.photographs import files_of, photographs
from harness.commands.bench.pipeline import STUDY, cached
from harness.commands.bench.timing import (
    Comparison,
    Setting,
    as_runs_execute,
    each_in_turn,
    seconds,
)
from harness.data.datasets import load
from harness.schema import Dataset, Part, Study
from harness.training import network
from harness.training.precision import reduced_precisions
from harness.training.transforms import test_batch
from studies.smoke import STUDY as SMOKE

LOADER_BATCH = 32  # of the baseline's tester: its default


def measure(setting: Setting) -> list[Comparison]:
    """Images a second, from glyphs by the small network and from photographs by ResNet50."""
    folder = setting.folder / "embedding"
    glyphs = load("glyphs", folder / "data", SMOKE.resize)
    files = files_of(glyphs, folder / "glyphs")
    comparisons = [_compare(SMOKE, glyphs, files, "convnet 32 px, 9,600 glyphs", setting)]
    images = photographs(folder / "photographs", classes=8, per_class=8)
    if setting.device.type == "cuda":
        images *= 16
    dataset = cached(folder / "photographs", folder)
    what = f"resnet50 224 px, {len(images)} photographs"
    comparisons.append(_compare(STUDY, dataset, images, f"{what}, fp32", setting))
    folding, folded = replace(STUDY, fold_batch_norm=True), f"{what}, fp32, BatchNorm folded"
    comparisons.append(_compare(folding, dataset, images, folded, setting))
    for precision in reduced_precisions(setting.device):
        study = replace(STUDY, precision=precision)
        comparisons.append(_compare(study, dataset, images, f"{what}, {precision}", setting))
    return comparisons


def _compare(
    study: Study, dataset: Dataset, files: by_hand.Files, what: str, setting: Setting
) -> Comparison:
    index = np.arange(len(files), dtype=np.int64) % len(dataset.labels)
    part = Part(dataset.images, index, dataset.labels[index])
    ours, baseline, limit = each_in_turn(
        (
            functools.partial(_embed_rate, study, part, setting.device),
            functools.partial(_tester_rate, study, part, files, setting.device),
            functools.partial(pass_rate, study, part, setting.device),
        ),
        setting.rounds,
    )
    return Comparison(
        name="embedding",
        what=what,
        unit="img/s",
        ours=tuple(ours),
        baseline=tuple(baseline),
        rising=True,
        limit=tuple(limit),
        limit_is="forward passes of the same network on resident images",
    )


def _embed_rate(study: Study, part: Part, device: torch.device) -> float:
    torch.manual_seed(0)
    model = network.build(study, study.dim, part.images[0].shape[2]).to(device)
    work = functools.partial(network.embed, model, part, study, device)
    with as_runs_execute(study, device):
        return len(part) / seconds(work, device)


def pass_rate(study: Study, part: Part, device: torch.device) -> float:
    """Forward passes alone over as many images as the part has, of a batch on the device."""
    torch.manual_seed(0)
    model = network.build(study, study.dim, part.images[0].shape[2]).to(device).eval()
    rows = min(len(part), study.evaluate_batch)
    with as_runs_execute(study, device), torch.inference_mode():
        parts = network.in_parts(test_batch(part.images, part.index[:rows], study, device))
        trunk = model.trunk if model.folding is None else model.folding.folded()

        def passes() -> None:
            for piece in parts:
                model.through(trunk, piece)

        passes()
        return rows / seconds(passes, device)


def _tester_rate(study: Study, part: Part, files: by_hand.Files, device: torch.device) -> float:
    torch.manual_seed(0)
    channels = part.images[0].shape[2]
    parts = by_hand.models(study, study.dim, channels)
    work = functools.partial(
        embeddings_by_tester,
        study,
        {name: part.to(device) for name, part in parts.items()},
        files,
        device,
        "L" if channels == 1 else "RGB",
    )
    return len(files) / seconds(work, device)


def embeddings_by_tester(
    study: Study,
    parts: dict[str, Any],
    files: by_hand.Files,
    device: torch.device,
    mode: str,
    *,
    batch: int = LOADER_BATCH,
    loaders: int | None = None,
) -> torch.Tensor:
    """Embeddings [n, dim] of the files by PML's tester, loaded by a process per core by default."""
    trunk = network.trunk_of(study)
    mean, std = ([v / 255 for v in trunk.mean], [v / 255 for v in trunk.std])
    dataset = by_hand.ImageFiles(files, by_hand.test_transform(study, mean, std), mode)
    loaders = by_hand.workers() if loaders is None else loaders
    tester = by_hand.tester(unit=False, device=device, batch=batch, loaders=loaders)
    embeddings: torch.Tensor = tester.get_all_embeddings(dataset, *parts.values())[0]
    return embeddings
