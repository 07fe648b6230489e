"""Retrieval scores at the sizes of CUB, Cars and SOP: seconds, extra memory, exactness.

Every measurement has a process of its own, so that neither side finds in memory what the other
left there. Embeddings are made up: classes are Gaussian clouds on the sphere that overlap as a
trained network's do.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.commands.bench import by_hand, memory
from harness.commands.bench.processes import output_of
from harness.commands.bench.timing import Comparison, Setting, each_in_turn, seconds
from harness.engines.execute import Places
from harness.engines.process import prepare
from harness.measure.candidates import product
from harness.measure.neighbours import nearest
from harness.measure.scores import retrieval_scores, scores_of_lists

DIM = 512
STRIP = 512  # rows of a product that is computed at once
SOP_ROUNDS = 3  # of more than a minute each without a GPU


@dataclass(frozen=True)
class Size:
    """A test half: how many images of how many classes, the least and most of a class."""

    name: str
    images: int
    classes: int
    least: int
    most: int


SIZES = (
    Size("CUB", images=5924, classes=100, least=41, most=60),
    Size("Cars", images=8131, classes=98, least=68, most=97),
    Size("SOP", images=60502, classes=11316, least=2, most=12),
)


def embeddings_of(size: Size) -> tuple[Tensor, Tensor]:
    """Unit-length float32 embeddings [images, 512] and labels; the same on every machine."""
    rng = np.random.default_rng(0)
    counts = np.full(size.classes, size.least)
    while counts.sum() < size.images:
        open_ = np.flatnonzero(counts < size.most)
        short = size.images - counts.sum()
        counts[rng.choice(open_, min(len(open_), short), replace=False)] += 1
    labels = torch.from_numpy(rng.permutation(np.repeat(np.arange(size.classes), counts)))
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(size.classes, DIM, generator=generator)
    clouds = torch.randn(size.images, DIM, generator=generator).add_(centres[labels], alpha=0.33)
    return torch.nn.functional.normalize(clouds), labels


def measure(setting: Setting) -> list[Comparison]:
    """Seconds and extra megabytes at each size, and how exact the neighbour lists are."""
    comparisons = []
    for size in SIZES:
        setting.say(f"metrics: {size.name}, {size.images} x {DIM}")
        sop = size.name == "SOP"
        results: dict[str, list[dict[str, Any]]] = {"ours": [], "baseline": [], "product": []}

        def once(side: str, size: Size = size, results: Any = results) -> float:
            results[side].append(result_by_process(side, size, setting.device))
            return float(results[side][-1]["seconds"])

        ours, baseline, alone = each_in_turn(
            [functools.partial(once, side) for side in results],
            min(setting.rounds, SOP_ROUNDS) if sop else setting.rounds,
            warm_up=False,
        )
        exact = result_by_process("float64", size, setting.device)
        notes = _exactness(size, results, exact)
        judged, substitute = sop and by_hand.has_faiss(), by_hand.without_faiss()
        comparisons.append(
            Comparison(
                name="metrics",
                what=f"{size.name} size, {size.images} x {DIM}{substitute}",
                unit="s",
                ours=tuple(ours),
                baseline=tuple(baseline),
                least_ratio=2.0 if judged else None,
                limit=tuple(alone),
                limit_is="the float32 product of the embeddings with themselves, nothing else",
                notes=notes,
            )
        )
        comparisons.append(
            Comparison(
                name="metrics",
                what=f"{size.name} size, extra memory{substitute}",
                unit="MB",
                ours=tuple(result["megabytes"] for result in results["ours"]),
                baseline=tuple(result["megabytes"] for result in results["baseline"]),
                least_ratio=10.0 if judged else None,
            )
        )
    return comparisons


def _exactness(
    size: Size, results: dict[str, list[dict[str, Any]]], exact: dict[str, Any]
) -> tuple[str, ...]:
    def furthest(side: str) -> float:
        scores, float64 = results[side][-1]["scores"], exact["scores"]
        return float(max(abs(scores[name] - float64[name]) for name in by_hand.METRICS))

    return (
        f"{size.name}: neighbour lists that differ from float64's: ours "
        f"{exact['differing']['ours']}, baseline {exact['differing']['baseline']} of "
        f"{size.images}; largest difference of a score from float64's: ours "
        f"{furthest('ours'):.1e}, baseline {furthest('baseline'):.1e}",
    )


def result_by_process(side: str, size: Size, device: torch.device) -> dict[str, Any]:
    """What `result_of` gives for one side, by a process of its own."""
    code = "import sys; from harness.commands.bench import metrics; metrics.child(*sys.argv[1:])"
    output = output_of(
        f"the scores of {side} at {size.name} size",
        *("-c", code, side, size.name, str(device), str(torch.get_num_threads())),
    )
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def child(side: str, name: str, device_name: str, threads: str) -> None:
    """Measure one side and print one JSON line; the main function of a measurement's process."""
    torch.set_num_threads(int(threads))
    device = torch.device(device_name)
    if side != "baseline":  # as a worker is; the baseline keeps what torch and the environment say
        prepare(Places(Path(), Path(), threads=int(threads)))
    size = next(size for size in SIZES if size.name == name)
    embeddings, labels = (tensor.to(device) for tensor in embeddings_of(size))
    if side in SIDES:
        small = torch.arange(512) // 4
        SIDES[side](embeddings[:512], small.to(device))  # imports and first calls are no part of it
    sys.stdout.write(json.dumps(result_of(side, embeddings, labels, device)) + "\n")


def result_of(
    side: str, embeddings: Tensor, labels: Tensor, device: torch.device
) -> dict[str, Any]:
    """What is measured of a side: "ours", "baseline", or "float64" for both sides' exactness."""
    if side == "float64":
        return exactness(embeddings, labels)
    return measured(SIDES[side], embeddings, labels, device)


def scores_by_harness(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """The three scores by this harness."""
    scores = retrieval_scores(embeddings, labels)
    return {name: scores[name] for name in by_hand.METRICS}


def scores_by_pml(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """The three scores by PML's AccuracyCalculator."""
    accuracies = by_hand.calculator(embeddings.device).get_accuracy(embeddings, labels)
    return {name: float(accuracies[pml_name]) for name, pml_name in by_hand.METRICS.items()}


def product_alone(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """No scores: every strip of the product is computed and dropped."""
    for strip in torch.split(embeddings, STRIP):
        product(strip, embeddings)
    return {}


SIDES = {"ours": scores_by_harness, "baseline": scores_by_pml, "product": product_alone}


def measured(
    work: Callable[[Tensor, Tensor], dict[str, float]],
    embeddings: Tensor,
    labels: Tensor,
    device: torch.device,
) -> dict[str, Any]:
    """Scores by `work`, with the seconds and the extra megabytes that it takes."""
    scores: dict[str, float] = {}
    before = memory.reset_peak(device)
    duration = seconds(lambda: scores.update(work(embeddings, labels)), device)
    return {
        "seconds": duration,
        "megabytes": max(1.0, (memory.peak(device) - before) / 2**20),
        "scores": scores,
    }


def exactness(embeddings: Tensor, labels: Tensor) -> dict[str, Any]:
    """Scores of float64's neighbour lists, and how many lists of each side differ from them."""
    relevant = torch.bincount(labels)[labels] - 1
    k = int(relevant.max())
    exact = float64_lists(embeddings, k)
    themselves = torch.arange(len(labels), device=labels.device)
    ours = nearest(embeddings, embeddings, k, excluded=themselves)
    baseline = by_hand.neighbours()(embeddings, k, embeddings, True)[1].to(exact.device)
    return {
        "scores": scores_of_lists(labels[exact] == labels[:, None], relevant),
        "differing": {
            "ours": int((ours != exact).any(1).sum()),
            "baseline": int((baseline != exact).any(1).sum()),
        },
    }


def float64_lists(embeddings: Tensor, k: int) -> Tensor:
    """The k nearest others [n, k] by squared differences summed in float64, ties by index.

    A float64 product finds 4 k + 64 candidates, far more than its rounding could disorder.
    """
    rows = embeddings.double()
    half_squares = 0.5 * rows.square().sum(1)
    n = len(rows)
    lists = torch.empty(n, k, dtype=torch.int64, device=embeddings.device)
    for start in range(0, n, 256):
        block = slice(start, min(n, start + 256))
        similarity = rows[block] @ rows.T - half_squares
        themselves = torch.arange(block.start, block.stop, device=rows.device)
        similarity.scatter_(1, themselves[:, None], -torch.inf)
        candidates = similarity.topk(min(n - 1, 4 * k + 64), dim=1).indices.sort(dim=1).values
        for row, chosen in zip(range(block.start, block.stop), candidates, strict=True):
            distance = (rows[chosen] - rows[row]).square().sum(1)
            lists[row] = chosen[distance.sort(stable=True).indices[:k]]
    return lists
