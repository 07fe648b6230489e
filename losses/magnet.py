"""Magnet loss: a sample should be nearer to its cluster than to clusters of other classes.

Every class is a few K-means clusters. With mu(x) the mean of the sample's cluster over the batch
and mu the means of the batch's clusters of OTHER classes (the other clusters of the sample's class
do not count),

    mean_x [ alpha + ||x - mu(x)||^2 / (2 s) + log sum_mu exp(-||x - mu||^2 / (2 s)) ]_+ ,
    s = 1 / (B - 1) sum_x ||x - mu(x)||^2,

with gradients through the means and through the variance s, which makes the loss independent of
the embeddings' scale. The paper normalises nothing and compares by Euclidean distance.

From the paper: the formula (its objective over a batch, with its estimate of the variance) and
K-means per class over the embeddings of the whole training set, repeated now and then. A batch of
the paper is a seed cluster, its nearest impostor clusters and a few samples of each. Here every
loss gets the same batches from the harness, so all clusters of other classes in the batch are
impostors. A cluster's mean comes from its few images in the batch: an image that is alone in its
cluster is not pulled. In place of the training set, the latest `memory_per_class` embeddings of
each class are remembered. Every `recluster_every` training batches K-means (from a farthest-first
start, without random numbers) computes new centres from them; the nearest centre of its class is
an image's cluster. Until the first time a class is one cluster. Chosen here: two clusters per
class, the memory and how often it is clustered. There is no authors' code. The published port
(vithursant/MagnetLoss-PyTorch) divides by 2 s^2, the square of what is a variance already; here it
is the paper's 2 s.

Source: Rippel, Paluri, Dollar and Bourdev 2016 (ICLR), arXiv 1511.05939, Section 3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._kmeans import kmeans, nearest
from losses._shared import attached_zero, check, check_batch, in_float32

PAPER = (
    "Rippel, Paluri, Dollar and Bourdev 2016, Metric Learning with Adaptive Density "
    "Discrimination, ICLR 2016, arXiv 1511.05939, the objective over a batch"
)
YEAR = 2016
KIND = "pair"
EMBEDDING = "unbounded"
RETRIEVAL = "euclidean"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "alpha": FloatDistribution(0.0, 10.0),
    "clusters_per_class": IntDistribution(1, 5),
}
FIXED = {
    "recluster_every": "a compromise of cost and freshness: one of the reality check's epochs",
    "memory_per_class": "a few images per cluster at a bounded size of the state, C x 16 x D",
}
FOLLOWUP = _followup.ratios(factors=("alpha",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "alpha": "inferred around the 1 of the published port",
    "clusters_per_class": "inferred; from one cluster to a fifth of the memory",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 D), and K-means of C x memory embeddings every `recluster_every` batches"
STATUS = "paper"
LEAST_VARIANCE = 1e-8


class Loss(nn.Module):
    """Magnet loss on clusters within classes; the clusters' state is in buffers."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        alpha: float = 1.0,
        clusters_per_class: int = 2,
        recluster_every: int = 100,
        memory_per_class: int = 16,
    ) -> None:
        super().__init__()
        check("alpha", alpha, ">= 0", ok=alpha >= 0)
        check("clusters_per_class", clusters_per_class, ">= 1", ok=clusters_per_class >= 1)
        check("recluster_every", recluster_every, ">= 1", ok=recluster_every >= 1)
        check("memory_per_class", memory_per_class, ">= 1", ok=memory_per_class >= 1)
        self.n_classes, self.alpha, self.clusters_per_class = n_classes, alpha, clusters_per_class
        self.recluster_every = recluster_every
        slots = memory_per_class if clusters_per_class > 1 else 0  # one cluster needs no memory
        self.register_buffer("memory", torch.zeros(n_classes, slots, dim))
        self.register_buffer("remembered", torch.zeros(n_classes, dtype=torch.long))
        self.register_buffer("centres", torch.zeros(n_classes, clusters_per_class, dim))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def remember(self, embeddings: Tensor, labels: Tensor) -> None:
        """Put a batch into the ring buffers of its classes; re-cluster when it is time."""
        memory, remembered = self.get_buffer("memory"), self.get_buffer("remembered")
        slots, batches = memory.shape[1], self.get_buffer("batches")
        same = labels[:, None] == labels[None, :]
        earlier, later = same.tril(-1).sum(1), same.triu(1).sum(1)
        latest = later < slots  # if a class has more images than slots, its last ones
        slot = (remembered[labels] + earlier) % slots
        memory[labels[latest], slot[latest]] = embeddings[latest].to(memory.dtype)
        remembered += torch.bincount(labels, minlength=self.n_classes)
        batches += 1
        if int(batches) % self.recluster_every == 0:
            valid = torch.arange(slots, device=labels.device) < remembered[:, None]
            self.get_buffer("centres").copy_(kmeans(memory, valid, self.clusters_per_class)[1])

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        if self.training and self.clusters_per_class > 1:
            self.remember(embeddings, labels)
        if bool((labels == labels[0]).all()):
            return attached_zero(embeddings)  # without an impostor every hinge is zero
        centres = self.get_buffer("centres")[labels].to(embeddings.dtype)
        numbers = labels * self.clusters_per_class + nearest(embeddings[:, None], centres)[:, 0]
        clusters, cluster = torch.unique(numbers, return_inverse=True)
        member = F.one_hot(cluster, len(clusters)).to(embeddings.dtype)
        means = member.T @ embeddings / member.sum(0)[:, None]
        squared = (embeddings[:, None] - means).square().sum(2)
        pull = squared.gather(1, cluster[:, None])[:, 0]
        double_variance = 2.0 * (pull.sum() / (len(labels) - 1)).clamp_min(LEAST_VARIANCE)
        same_class = labels[:, None] == clusters // self.clusters_per_class
        push = (-squared / double_variance).masked_fill(same_class, float("-inf")).logsumexp(1)
        return F.relu(self.alpha + pull / double_variance + push).mean()
