"""Non-isotropy regularisation: a conditional GLOW flow and the likelihood of samples under it.

This is the network of the authors' code (ExplainableML/NonIsotropicProxyDML, criteria/nir.py, with
the defaults of its parameters.py). It repeats two steps five times: a fixed permutation (numpy's,
with the seeds 0 to 4) and a GLOW coupling block with soft clamp 2. The subnetworks of a block have
eight linear layers of width 128 with ReLU between them. Every block is conditioned on the
unit-length proxy of the sample's class.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import FrEIA.modules as invertible
import numpy as np
import torch
from torch import Tensor, nn

BLOCKS = 5
SUBNET_LAYERS = 8
SUBNET_WIDTH = 128
CLAMP = 2.0


def subnetwork(inputs: int, outputs: int) -> nn.Sequential:
    """The multilayer perceptron that gives a coupling block its scales and shifts."""
    widths = [inputs] + [SUBNET_WIDTH] * (SUBNET_LAYERS - 1) + [outputs]
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Flow(nn.Module):
    """An invertible map of [B, dim] to residuals [B, dim], conditioned on proxies [B, dim]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 2:
            raise ValueError(f"dim = {dim}: a coupling block halves the embedding, so dim >= 2")
        # not FrEIA's own permutation: that reseeds numpy's global generator and keeps the indices
        # as integer parameters
        orders = [np.random.RandomState(seed).permutation(dim) for seed in range(BLOCKS)]
        self.register_buffer("orders", torch.from_numpy(np.stack(orders)).long())
        self.blocks = nn.ModuleList(
            invertible.GLOWCouplingBlock(
                [(dim,)], dims_c=[(dim,)], subnet_constructor=subnetwork, clamp=CLAMP
            )
            for _ in range(BLOCKS)
        )

    def forward(self, embeddings: Tensor, proxies: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals [B, dim] and the log of the map's absolute Jacobian determinant [B]."""
        log_determinant = embeddings.new_zeros(len(embeddings))
        for order, block in zip(self.get_buffer("orders"), self.blocks, strict=True):
            (embeddings,), block_log_determinant = block([embeddings[:, order]], c=[proxies])
            log_determinant = log_determinant + block_log_determinant
        return embeddings, log_determinant


def negative_log_likelihood(flow: nn.Module, embeddings: Tensor, proxies: Tensor) -> Tensor:
    """Negative log likelihoods [B], up to a constant, of embeddings [B, D] given proxies [B, D].

    1/2 ||z||^2 - log|det dz/dx|, where z is the flow's residual and has a standard normal prior.
    """
    residuals, log_determinant = flow(embeddings, proxies)
    nll: Tensor = 0.5 * residuals.square().sum(1) - log_determinant
    return nll


def lr_groups(
    proxies: Tensor, flow: Iterable[Tensor], flow_lr_factor: float
) -> list[dict[str, Any]]:
    """Optimiser groups: proxies at the loss's learning rate, the flow at `flow_lr_factor` times it.

    Neither group sets a weight decay, so the study's applies; the authors too use one for all.
    """
    return [
        {"params": [proxies], "lr_factor": 1.0},
        {"params": list(flow), "lr_factor": flow_lr_factor},
    ]
