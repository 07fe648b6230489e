"""Baselines without training: the network's head in closed form, from the training classes.

`whitening` and `lda` (harness/measure/linear_maps.py) of the features that the head receives.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from harness.measure import linear_maps
from harness.schema import LDA, Diverged, Part, Run
from harness.training import network


def fit_head(model: network.Network, part: Part, run: Run, device: torch.device) -> None:
    """Put the run's linear map of the part's features in the place of the head.

    Diverged where the features do not define one.
    """
    dim, model.dim, model.head = model.dim, model.features, nn.Identity()
    features = network.embed(model, part, run.study, device).double().cpu().numpy()
    if not np.isfinite(features).all():
        raise Diverged("features of the training classes are NaN or infinite")
    try:
        if run.loss == LDA:
            fitted = linear_maps.discriminants(features, part.labels, dim)
        else:
            fitted = linear_maps.whitening(features, dim)
    except ValueError as error:
        raise Diverged(f"{run.loss} is not defined: {error}") from None
    head = nn.Linear(model.features, dim)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted.weight))
        head.bias.copy_(torch.from_numpy(-fitted.weight @ fitted.mean))
    model.dim, model.head = dim, head.to(device)
