"""MagFace: ArcFace with a margin that grows with the embedding's length, and a reward for length.

With a = clamp(||x||, l_a, u_a), u_a = l_a u_a_over_l_a, u_margin = l_margin + margin_range, angles
theta_j between x and w_j in radians, and

    m(a) = l_margin + margin_range (a - l_a) / (u_a - l_a)
    t = cos(theta_y + m(a))   if cos theta_y > 0, else cos theta_y,

the loss is the mean over the batch of

    CE(scale [t; cos theta_j, j != y], y) + lambda_g (a / u_a^2 + 1 / a).

Gradients pass through a into m and into the second term; outside l_a..u_a both are flat.

l_a (and with it u_a) is in units of the embedding's norm, and so is lambda_g, since the second term
is in units of 1 / norm. The authors' network ends in a BatchNorm over 512 features, so
E||x||^2 = 512 and the norm starts at 22.6; their l_a = 10 and u_a = 110 are 0.44 and 4.9 times
that. SPACE states both ranges for a norm of 22.6, which REFERENCE_NORM records.

Source: Meng et al. 2021, MagFace: A Universal Representation for Face Recognition and Quality
Assessment (CVPR), the MagFace loss with its regulariser g; code IrvingMeng/MagFace,
models/magface.py with its easy_margin, whose formula this is. The sine is clamped here, where its
gradient would be infinite.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Meng et al. 2021, MagFace: A Universal Representation for Face Recognition and Quality "
    "Assessment, CVPR 2021, the MagFace loss with its regulariser g"
)
YEAR = 2021
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 1
OWN_PARAMETERS = True
SPACE = {
    "scale": FloatDistribution(0.01, 200.0),
    "l_margin": FloatDistribution(0.0, 0.8),
    "margin_range": FloatDistribution(0.0, 0.8),
    "l_a": FloatDistribution(1.0, 50.0, log=True),
    "u_a_over_l_a": FloatDistribution(2.0, 30.0, log=True),
    "lambda_g": FloatDistribution(0.01, 100.0, log=True),
}
FIXED: dict[str, str] = {}
# u_a_over_l_a, a ratio by itself, keeps its range: a share of it could fall to 1 or below, outside
# its domain. l_a is held to an octave, because it must stay near the norms that training gives.
FOLLOWUP = _followup.ratios(factors=("scale", "lambda_g"), shares=("l_margin", "margin_range")) | {
    "l_a_ratio": FloatDistribution(0.5, 2.0, log=True),
    "u_a_over_l_a": SPACE["u_a_over_l_a"],
}
REFERENCE_NORM = {"l_a": math.sqrt(512), "lambda_g": math.sqrt(512)}
SOURCES = {
    "scale": "the reality check's bounds for CosFace; authors' 64",
    "l_margin": "inferred around the authors' 0.45 radians",
    "margin_range": "inferred around the authors' 0.8 - 0.45 radians",
    "l_a": "inferred: brackets the authors' 10 at norm 22.6",
    "u_a_over_l_a": "inferred around the authors' 110 / 10",
    "lambda_g": "inferred around the authors' 35 at norm 22.6",
    "l_a_ratio": "inferred: an octave to either side, since training moves the norm",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D)"
STATUS = "authors"


class Loss(nn.Module):
    """MagFace over weights [n_classes, dim]; margins in radians, defaults the authors' values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        scale: float = 64.0,
        l_margin: float = 0.45,
        margin_range: float = 0.35,
        l_a: float = 10.0,
        u_a_over_l_a: float = 11.0,
        lambda_g: float = 35.0,
    ) -> None:
        super().__init__()
        check("scale", scale, "> 0 and finite", ok=0 < scale < math.inf)
        check("l_margin", l_margin, "0 <= l_margin < pi radians", ok=0 <= l_margin < math.pi)
        check(
            "margin_range", margin_range, "0 <= value < pi radians", ok=0 <= margin_range < math.pi
        )
        check("l_a", l_a, "> 0 and finite", ok=0 < l_a < math.inf)
        check("u_a_over_l_a", u_a_over_l_a, "> 1 and finite", ok=1 < u_a_over_l_a < math.inf)
        check("lambda_g", lambda_g, ">= 0 and finite", ok=0 <= lambda_g < math.inf)
        self.n_classes, self.scale, self.lambda_g = n_classes, scale, lambda_g
        self.l_margin, self.margin_range = l_margin, margin_range
        self.l_a, self.u_a = l_a, l_a * u_a_over_l_a
        self.proxies = nn.Parameter(F.normalize(torch.empty(n_classes, dim).uniform_(-1.0, 1.0)))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        norm: Tensor = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)
        a = norm.clamp(self.l_a, self.u_a)
        margin = self.l_margin + self.margin_range * (a - self.l_a) / (self.u_a - self.l_a)
        cosine = F.normalize(embeddings) @ F.normalize(self.proxies).T
        target = cosine.gather(1, labels[:, None])
        sine = (1.0 - target.square()).clamp_min(1e-12).sqrt()
        shifted = target * margin.cos() - sine * margin.sin()
        penalised = torch.where(target > 0, shifted, target)
        logits = self.scale * cosine.scatter(1, labels[:, None], penalised)
        regulariser = (a / (self.u_a * self.u_a) + a.reciprocal()).mean()
        return F.cross_entropy(logits, labels) + self.lambda_g * regulariser
