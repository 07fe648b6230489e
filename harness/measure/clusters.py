"""How far apart and how compact the classes of embeddings are, with a proxy for each class.

All distances are Euclidean, in the units of the embeddings:

- separation: mean distance between the means of two classes;
- nearest: mean distance of a class's mean to the nearest other one;
- compactness: mean distance of an embedding to its class's mean (lower is tighter);
- ratio: compactness / separation, which does not change with the scale of the embeddings;
- overfit: the share of embeddings that are nearest to their own proxy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MEASURES = ("separation", "nearest", "compactness", "ratio", "overfit")


@dataclass(frozen=True)
class Clusters:
    """Embeddings [n, D], their labels [n] and the proxies [C, D] of the C classes, two at least."""

    embeddings: Floats
    labels: npt.NDArray[np.int64]
    proxies: Floats

    def measures(self) -> dict[str, float]:
        """The MEASURES, by name. ValueError where a class has no embedding."""
        classes = range(len(self.proxies))
        if set(self.labels.tolist()) != set(classes) or len(classes) < 2:
            raise ValueError(f"{len(classes)} proxies, labels of {len(set(self.labels.tolist()))}")
        means = np.array([self.embeddings[self.labels == c].mean(0) for c in classes])
        between = np.linalg.norm(means[:, None] - means, axis=2)
        others = ~np.eye(len(means), dtype=bool)
        separation = float(between[others].mean())
        compactness = float(np.linalg.norm(self.embeddings - means[self.labels], axis=1).mean())
        to_proxies = np.linalg.norm(self.embeddings[:, None] - self.proxies, axis=2)
        return {
            "separation": separation,
            "nearest": float(np.where(others, between, np.inf).min(1).mean()),
            "compactness": compactness,
            "ratio": compactness / separation,
            "overfit": float((to_proxies.argmin(1) == self.labels).mean()),
        }
