"""Retrieval scores at the sizes of CUB, Cars and SOP: seconds, extra memory, exactness.

Every measurement has a process of its own, so that what one side leaves in memory is not found by
the other. Embeddings are made up: classes as Gaussian clouds on the sphere, overlapping as a
trained network's do.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.commands.bench import by_hand
from harness.commands.bench.timing import Comparison, Setting, in_turn, seconds
from harness.measure.neighbours import nearest
from harness.measure.scores import retrieval_scores, scores_of_lists
from harness.schema import Problem

DIM = 512
SOP_ROUNDS = 3  # of more than a minute each without a GPU
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Size:
    """A test half: how many images of how many classes, the least and most of a class."""

    name: str
    images: int
    classes: int
    least: int
    most: int


SIZES = (
    Size("CUB", 5924, 100, 41, 60),
    Size("Cars", 8131, 98, 68, 97),
    Size("SOP", 60502, 11316, 2, 12),
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
    """Seconds and extra megabytes at each size, and what float64 says of the neighbour lists."""
    told = []
    for size in SIZES:
        setting.tell(f"metrics: {size.name}, {size.images} x {DIM}")
        sop = size.name == "SOP"
        results: dict[str, list[dict[str, Any]]] = {"ours": [], "baseline": []}

        def once(side: str, size: Size = size, results: Any = results) -> float:
            results[side].append(_in_a_process(side, size, setting.device))
            return float(results[side][-1]["seconds"])

        ours, theirs = in_turn(
            lambda: once("ours"),
            lambda: once("baseline"),
            min(setting.rounds, SOP_ROUNDS) if sop else setting.rounds,
            warm_up=False,
        )
        exact = _in_a_process("float64", size, setting.device)
        notes = _exactness(size, results, exact)
        judged, other = sop and by_hand.has_faiss(), by_hand.without_faiss()
        told.append(
            Comparison(
                name="metrics", what=f"{size.name} size, {size.images} x {DIM}{other}", unit="s",
                ours=tuple(ours), baseline=tuple(theirs), least_ratio=2.0 if judged else None,
                notes=notes,
            )
        )  # fmt: skip
        told.append(
            Comparison(
                name="metrics", what=f"{size.name} size, extra memory{other}", unit="MB",
                ours=tuple(r["megabytes"] for r in results["ours"]),
                baseline=tuple(r["megabytes"] for r in results["baseline"]),
                least_ratio=10.0 if judged else None,
            )
        )  # fmt: skip
    return told


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


def _in_a_process(side: str, size: Size, device: torch.device) -> dict[str, Any]:
    code = "import sys; from harness.bench import scores; scores.child(*sys.argv[1:])"
    command = [
        sys.executable,
        "-c",
        code,
        side,
        size.name,
        str(device),
        str(torch.get_num_threads()),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise Problem(f"bench: the scores of {side} at {size.name} size failed: {last}")
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def child(side: str, name: str, device_name: str, threads: str) -> None:
    """What the process of a measurement does: one JSON line on standard output."""
    torch.set_num_threads(int(threads))
    device = torch.device(device_name)
    size = next(size for size in SIZES if size.name == name)
    embeddings, labels = (tensor.to(device) for tensor in embeddings_of(size))
    if side == "float64":
        told = _float64(embeddings, labels)
    else:
        work = {"ours": our_scores, "baseline": their_scores}[side]
        small = torch.arange(512) // 4
        work(embeddings[:512], small.to(device))  # imports and first calls are no part of it
        told = _measured(work, embeddings, labels, device)
    sys.stdout.write(json.dumps(told) + "\n")


def our_scores(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """The three scores by this harness."""
    found = retrieval_scores(embeddings, labels)
    return {name: found[name] for name in by_hand.METRICS}


def their_scores(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """The three scores by PML's AccuracyCalculator."""
    found = by_hand.calculator(embeddings.device).get_accuracy(embeddings, labels)
    return {name: float(found[theirs]) for name, theirs in by_hand.METRICS.items()}


def _measured(
    work: Any, embeddings: Tensor, labels: Tensor, device: torch.device
) -> dict[str, Any]:
    scores: dict[str, float] = {}
    before = _forget_peak(device)
    took = seconds(lambda: scores.update(work(embeddings, labels)), device)
    return {
        "seconds": took,
        "megabytes": max(1.0, (_peak(device) - before) / 2**20),
        "scores": scores,
    }


def _forget_peak(device: torch.device) -> int:
    """Bytes in use now, from which on the peak counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # no Linux, or not allowed: the peak so far is what counts from
        return _peak(device)
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}; process {os.getpid()}")


def _float64(embeddings: Tensor, labels: Tensor) -> dict[str, Any]:
    """Scores of float64's neighbour lists, and how many lists of each side differ from them."""
    relevant = torch.bincount(labels)[labels] - 1
    k = int(relevant.max())
    exact = float64_lists(embeddings, k)
    own = torch.arange(len(labels), device=labels.device)
    ours = nearest(embeddings, embeddings, k, own=own)
    theirs = by_hand.neighbours()(embeddings, k, embeddings, True)[1].to(exact.device)
    return {
        "scores": scores_of_lists(labels[exact] == labels[:, None], relevant),
        "differing": {
            "ours": int((ours != exact).any(1).sum()),
            "baseline": int((theirs != exact).any(1).sum()),
        },
    }


def float64_lists(embeddings: Tensor, k: int) -> Tensor:
    """The k nearest others [n, k] by squared differences summed in float64, ties by index.

    A float64 product finds 4 k + 64 candidates, far more than its rounding could disorder.
    """
    wide = embeddings.double()
    half = 0.5 * wide.square().sum(1)
    n = len(wide)
    lists = torch.empty(n, k, dtype=torch.int64, device=embeddings.device)
    for start in range(0, n, 256):
        block = slice(start, min(n, start + 256))
        similarity = wide[block] @ wide.T - half
        own = torch.arange(block.start, block.stop, device=wide.device)
        similarity.scatter_(1, own[:, None], -torch.inf)
        candidates = similarity.topk(min(n - 1, 4 * k + 64), dim=1).indices.sort(dim=1).values
        for row, chosen in zip(range(block.start, block.stop), candidates, strict=True):
            distance = (wide[chosen] - wide[row]).square().sum(1)
            lists[row] = chosen[distance.sort(stable=True).indices[:k]]
    return lists
