"""Cosines of shifted angles, with gradients that stay finite where vectors coincide."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_of_sum(cosine: Tensor, angle: float) -> Tensor:
    """cos(theta + angle), elementwise, from cos theta; `angle` is in radians.

    The cosine of the sum is expanded with a clamped sine, because the gradient of the arccosine is
    infinite at theta = 0 and pi. Rounding may leave cosines just outside [-1, 1].
    """
    sine = (1.0 - cosine.square()).clamp_min(1e-12).sqrt()
    return cosine * math.cos(angle) - sine * math.sin(angle)


def falling_multiple(cosine: Tensor, multiple: int) -> Tensor:
    """(-1)^k cos(multiple theta) - 2 k with k = floor(multiple theta / pi), from cos theta.

    The extension of cos(multiple theta) that falls all the way from theta = 0 to pi.
    """
    angle = cosine.detach().clamp(-1.0, 1.0).acos()
    k = (angle * multiple / math.pi).floor().clamp_max(multiple - 1)
    # cos(multiple theta) by the recurrence of Chebyshev polynomials, from T_0 and T_1
    previous, current = torch.ones_like(cosine), cosine
    for _ in range(multiple - 1):
        previous, current = current, 2.0 * cosine * current - previous
    return (1.0 - 2.0 * (k % 2)) * current - 2.0 * k
