"""Contextual similarity: two images are alike if their neighbourhoods in the batch are alike.

With unit x, S = X X^T, D = 2 - 2 S, and [a >= b] a step whose gradient is taken to be 10 in a:

    N  = [eps - D_ij >= the k-th largest of -D_i.]    (k neighbours and those within eps more)
    W  = ( N N^T / |N_i|  +  (1-N) (1-N)^T / |1-N_i| ) / 2  *  N     (denominators stopped)
    R  = M * M^T,  M as N with k/2;   J = R W / |R_i|;   J <- (J + J^T) / 2

    context     = 1/B^2 sum over i != j of (1 - J_ij)^2 in a class, J_ij^2 across classes
    contrastive = mean over non-zero of [pos_margin - S]_+ in a class + of [S - neg_margin]_+ across
    loss = lam context + (1 - lam - gamma) contrastive + gamma (mean(S) - reg_sim)^2

Source: Liao, Tsiligkaridis and Kulis 2023 (CVPR, arXiv 2210.01908); code main_reg_sim.py of
Chris210634/metric-learning-using-contextual-similarity, to which value and gradients are equal
(its contrastive term includes the diagonal, where it is zero). The scripts for crops of 224 write
l contrastive + (1 - l) context + g (...)^2. That is the loss above divided by 1 + g, with
gamma = g / (1 + g) and lam = (1 - l) / (1 + g). Their g = 0.1 and l = 0.05 (CUB) or 0.2 (Cars, SOP)
are gamma = 0.091 and lam = 0.86 or 0.73 here. Empty denominators count as 1. A batch of fewer than
k images is one neighbourhood.
"""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32, non_zero_mean, positives_and_negatives

PAPER = (
    "Liao, Tsiligkaridis and Kulis 2023, Supervised Metric Learning to Rank for Retrieval via "
    "Contextual Similarity Optimization, CVPR"
)
YEAR = 2023
KIND = "ranking"
EMBEDDING = "unit"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = False
SPACE = {
    "lam": FloatDistribution(0.0, 0.88),
    "gamma": FloatDistribution(0.01, 0.12, log=True),
    "reg_sim": FloatDistribution(0.0, 0.6),
    "eps": FloatDistribution(1e-3, 0.3, log=True),
    "pos_margin": FloatDistribution(0.5, 1.0),
    "neg_margin": FloatDistribution(0.0, 0.9),
}
FIXED = {"k": "the number of images per class in a batch, 4, as in the authors' code"}
FOLLOWUP = _followup.ratios(shares=("lam", "gamma", "reg_sim", "eps", "pos_margin", "neg_margin"))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "lam": "inferred: from 0 to beyond the authors' 0.86; lam + gamma stays below 1",
    "gamma": "inferred: the authors' 0.091 and 0.1 lie high; lam + gamma stays below 1",
    "reg_sim": "inferred around the authors' 0.25 and 0.3",
    "eps": "inferred around the authors' 0.04 (CUB), 0.05 (Cars, SOP)",
    "pos_margin": "inferred around the authors' 0.75, a cosine",
    "neg_margin": "inferred around the authors' 0.6, a cosine",
} | _followup.sources(FOLLOWUP)
COST = "O(B^2 (B + D))"
STATUS = "authors"


class Loss(nn.Module):
    """Contextual plus contrastive loss; defaults are those of the authors' main_reg_sim.py."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        lam: float = 0.4,
        gamma: float = 0.1,
        reg_sim: float = 0.25,
        eps: float = 0.05,
        pos_margin: float = 0.75,
        neg_margin: float = 0.6,
        k: int = 4,
    ) -> None:
        super().__init__()
        check("lam", lam, "between 0 and 1", ok=0 <= lam <= 1)
        check("gamma", gamma, "between 0 and 1 - lam", ok=0 <= gamma <= 1 - lam)
        check("reg_sim", reg_sim, "a cosine, between -1 and 1", ok=-1 <= reg_sim <= 1)
        check("eps", eps, ">= 0 and finite", ok=0 <= eps < math.inf)
        check("pos_margin", pos_margin, "a finite number", ok=math.isfinite(pos_margin))
        check("neg_margin", neg_margin, "a finite number", ok=math.isfinite(neg_margin))
        check("k", k, "a whole number >= 2", ok=k == int(k) >= 2)
        self.n_classes, self.lam, self.gamma, self.reg_sim = n_classes, lam, gamma, reg_sim
        self.eps, self.pos_margin, self.neg_margin, self.k = eps, pos_margin, neg_margin, k

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        similarities = embeddings @ embeddings.T
        positives, negatives = positives_and_negatives(labels)
        alike = contextual_similarity(similarities, min(self.k, len(labels)), self.eps)
        errors = (1.0 - alike).square() * positives + alike.square() * negatives
        near = non_zero_mean((self.pos_margin - similarities).relu() * positives)
        far = non_zero_mean((similarities - self.neg_margin).relu() * negatives)
        spread = (similarities.mean() - self.reg_sim).square()
        contrastive = (1.0 - self.lam - self.gamma) * (near + far)
        return self.lam * errors.mean() + contrastive + self.gamma * spread


def contextual_similarity(similarities: Tensor, k: int, eps: float) -> Tensor:
    """J [B, B], between 0 and 1, from cosine similarities [B, B]."""
    closeness = -(2.0 - 2.0 * similarities).clamp_min(0.0)
    thresholds = closeness.detach().topk(k).values
    members = _step(closeness + eps - thresholds[:, -1:])
    outside = 1.0 - members
    shared = members @ members.T / _size(members).detach()
    shared_outside = outside @ outside.T / _size(outside).detach()
    overlap = 0.5 * (shared + shared_outside) * members
    half = max(k // 2, 1)
    close = _step(closeness + eps - thresholds[:, half - 1 : half])
    mutual = close * close.T
    expanded = mutual @ overlap / _size(mutual)
    return 0.5 * (expanded + expanded.T)


def _step(x: Tensor) -> Tensor:
    """1 where x >= 0, else 0, with a gradient of 10 everywhere."""
    return (x.detach() >= 0).to(x.dtype) + 10.0 * (x - x.detach())


def _size(members: Tensor) -> Tensor:
    """Sum of each row [B, B], 1 for an empty one: [B, 1]."""
    size = members.sum(1, keepdim=True)
    return size + (size == 0)  # not clamp_min(1), whose gradient is 0 at a size of exactly 1
