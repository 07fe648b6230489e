"""Features of images under a frozen trunk: before LayerNorm and head, so of any run alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from harness.schema import Floats, Images, Problem, Study
from harness.training import network, transforms

Say = Callable[[str], None]


def compute(study: Study, images: Images, device: torch.device, say: Say, *, out: Floats) -> None:
    """Write the features [n, F] of the images' centre crops to `out`.

    The trunk has the study's weights and computes in its precision. Problem where a feature is NaN
    or infinite, and as `network.build` has them.
    """
    _fill(study, images, device, say, out=out[:, None], rng=None)


def compute_augmented(
    study: Study, images: Images, device: torch.device, say: Say, *, out: Floats, seed: int
) -> None:
    """Write the features [n, N, F] of N random crops of each image to `out`.

    They are cropped and flipped as the study trains, by draws of the seed.
    """
    _fill(study, images, device, say, out=out, rng=np.random.default_rng(seed))


def _fill(
    study: Study,
    images: Images,
    device: torch.device,
    say: Say,
    *,
    out: Floats,
    rng: np.random.Generator | None,
) -> None:
    n, copies, _ = out.shape
    with torch.random.fork_rng(devices=[]):  # a run that needs them draws as if they were there
        model = network.build(study, study.dim, network.channels_of(images)).to(device)
    model.eval()
    trunk = model.trunk if model.folding is None else model.folding.folded()
    with torch.inference_mode():
        for copy in range(copies):
            for start in range(0, n, study.evaluate_batch):
                index = np.arange(start, min(start + study.evaluate_batch, n))
                if rng is None:
                    batch = transforms.test_batch(images, index, study, device)
                else:
                    batch = transforms.train_batch(images, index, study, rng, device)
                features = torch.cat([model.pooled(trunk, p) for p in network.in_parts(batch)])
                if not bool(torch.isfinite(features).all()):
                    raise Problem(
                        f"study {study.name!r}: {study.trunk} gives NaN or infinite features of "
                        f"images {start} to {int(index[-1])}; take other weights or precision fp32"
                    )
                out[index, copy] = features.cpu().numpy()
                done = copy * n + start + len(index)
                if done // 5000 > (done - len(index)) // 5000:
                    say(f"features of {done:,} of {n * copies:,} crops computed")
