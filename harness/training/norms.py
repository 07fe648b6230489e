"""Norms of the gradient and of the update of one optimiser step, for the learning curve."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def copies(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """Copies of the parameters, to be taken just before a step."""
    return [parameter.detach().clone() for parameter in _parameters(optimiser)]


def of_step(
    optimiser: torch.optim.Optimizer, before: list[Tensor]
) -> tuple[float | None, float | None]:
    """Euclidean norms of the gradient and of the update of the step since `before` was copied.

    Over all parameters together; the gradient as the optimiser received it, so after clipping.
    None for a norm that is not finite. Waits for the device once.
    """
    parameters = _parameters(optimiser)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    updates = [new.detach() - old for new, old in zip(parameters, before, strict=True)]
    gradient, update = torch.stack([_norm(gradients), _norm(updates)]).tolist()
    return _rounded(gradient), _rounded(update)


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _norm(tensors: list[Tensor]) -> Tensor:
    if not tensors:
        return torch.zeros(())
    each = [torch.linalg.vector_norm(tensor) for tensor in tensors]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(each))
    return norm


def _rounded(norm: float) -> float | None:
    """Six significant digits, which is plenty for a curve; None if it is not finite."""
    return float(f"{norm:.6g}") if math.isfinite(norm) else None
