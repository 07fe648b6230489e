"""Retrieval scores at the sizes of real test sets: seconds, extra memory, exactness.

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
from harness.commands.bench.exactness import exactness
from harness.commands.bench.processes import output_of
from harness.commands.bench.timing import Comparison, Setting, each_in_turn
from harness.engines.execute import Places
from harness.engines.memory import give_freed_memory_back
from harness.engines.process import prepare
from harness.measure.scores import retrieval_scores
from harness.threads import each_in_a_thread

DIM = 512
STRIP = 4 * 2**20  # values of a product that are computed at once
FEWEST_ROWS = 128  # of them at least, below which a product takes longer
LARGE_ROUNDS = 3  # of a large set's, which take up to a minute each without a GPU


@dataclass(frozen=True)
class Size:
    """A test half: how many images of how many classes, the least and most of a class.

    The first `queries` images are queries and the others their gallery; if 0, each image is both.
    """

    name: str
    images: int
    classes: int
    least: int
    most: int
    queries: int = 0

    def __str__(self) -> str:
        if self.queries:
            return f"{self.name}, {self.queries} against {self.images - self.queries} x {DIM}"
        return f"{self.name}, {self.images} x {DIM}"


SIZES = (
    Size("CUB", images=5924, classes=100, least=41, most=60),
    Size("Cars", images=8131, classes=98, least=68, most=97),
    Size("In-Shop", images=26830, classes=3985, least=2, most=20, queries=14218),
    Size("SOP", images=60502, classes=11316, least=2, most=12),
    Size("a million", images=1_001_000, classes=100_000, least=2, most=20, queries=1000),
)
LARGE = ("SOP", "a million")
GOALS = {"SOP": (2.0, 10.0)}  # least ratios in time and in memory; of all others 1 and 1


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
        setting.say(f"metrics: size of {size}")
        results: dict[str, list[dict[str, Any]]] = {"ours": [], "baseline": [], "product": []}

        def once(side: str, size: Size = size, results: Any = results) -> float:
            results[side].append(result_by_process(side, size, setting.device))
            return float(results[side][-1]["seconds"])

        ours, baseline, alone = each_in_turn(
            [functools.partial(once, side) for side in results],
            min(setting.rounds, LARGE_ROUNDS) if size.name in LARGE else setting.rounds,
            warm_up=False,
        )
        exact = result_by_process("float64", size, setting.device)
        notes = _exactness(size, results, exact)
        goals = GOALS.get(size.name, (1.0, 1.0)) if by_hand.has_faiss() else (None, None)
        comparisons.append(
            Comparison(
                name="metrics",
                what=f"size of {size}{by_hand.without_faiss()}",
                unit="s",
                ours=tuple(ours),
                baseline=tuple(baseline),
                least_ratio=goals[0],
                limit=tuple(alone),
                limit_is="the float32 product of the queries with their gallery, nothing else",
                notes=notes,
            )
        )
        comparisons.append(
            Comparison(
                name="metrics",
                what=f"size of {size.name}, extra memory{by_hand.without_faiss()}",
                unit="MB",
                ours=tuple(result["megabytes"] for result in results["ours"]),
                baseline=tuple(result["megabytes"] for result in results["baseline"]),
                least_ratio=goals[1],
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
        f"{size.queries or size.images}; largest difference of a score from float64's: ours "
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
    size = next(size for size in SIZES if size.name == name)
    embeddings, labels = (tensor.to(device) for tensor in embeddings_of(size))
    give_freed_memory_back()  # what making them took, which a side could use again unseen
    if side != "baseline":  # as a worker is; the baseline keeps what torch and the environment say
        prepare(Places(Path(), Path(), threads=int(threads)))
    if side in SIDES:
        small = torch.arange(512) // 4 % 64
        first = SIDES[side]  # imports and first calls are no part of it
        first(embeddings[:512], small.to(device), 256 if size.queries else 0)
    result = result_of(side, embeddings, labels, device, size.queries)
    sys.stdout.write(json.dumps(result) + "\n")


def result_of(
    side: str, embeddings: Tensor, labels: Tensor, device: torch.device, queries: int = 0
) -> dict[str, Any]:
    """What is measured of a side: "ours", "baseline", or "float64" for both sides' exactness."""
    if side == "float64":
        return exactness(embeddings, labels, queries)
    return measured(SIDES[side], embeddings, labels, device, queries)


def scores_by_harness(embeddings: Tensor, labels: Tensor, queries: int = 0) -> dict[str, float]:
    """The three scores by this harness."""
    is_query = torch.arange(len(labels), device=labels.device) < queries if queries else None
    scores = retrieval_scores(
        embeddings, labels, is_query=is_query, is_gallery=None if is_query is None else ~is_query
    )
    return {name: scores[name] for name in by_hand.METRICS}


def scores_by_pml(embeddings: Tensor, labels: Tensor, queries: int = 0) -> dict[str, float]:
    """The three scores by PML's AccuracyCalculator."""
    calculator = by_hand.calculator(embeddings.device)
    if queries:
        sides = (embeddings[:queries], labels[:queries], embeddings[queries:], labels[queries:])
        accuracies = calculator.get_accuracy(*sides)
    else:
        accuracies = calculator.get_accuracy(embeddings, labels)
    return {name: float(accuracies[pml_name]) for name, pml_name in by_hand.METRICS.items()}


def product_alone(embeddings: Tensor, labels: Tensor, queries: int = 0) -> dict[str, float]:
    """No scores: every strip of the product is computed and dropped."""
    gallery = embeddings[queries:]

    def strip(rows: Tensor) -> None:
        if rows.device.type == "cpu":
            np.matmul(rows.numpy(), gallery.numpy().T)
        else:
            torch.mm(rows, gallery.T)

    rows = torch.split(embeddings[: queries or None], max(FEWEST_ROWS, STRIP // len(gallery)))
    each_in_a_thread(strip, rows, embeddings.device)
    return {}


SIDES = {"ours": scores_by_harness, "baseline": scores_by_pml, "product": product_alone}


def measured(
    work: Callable[[Tensor, Tensor, int], dict[str, float]],
    embeddings: Tensor,
    labels: Tensor,
    device: torch.device,
    queries: int,
) -> dict[str, Any]:
    """Scores by `work`, with the seconds and the extra megabytes that it takes."""
    scores: dict[str, float] = {}
    duration, megabytes = memory.cost_of(
        lambda: scores.update(work(embeddings, labels, queries)), device
    )
    return {"seconds": duration, "megabytes": megabytes, "scores": scores}
