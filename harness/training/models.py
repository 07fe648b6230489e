"""The network, the loss and the optimiser of a training, and the learning rates of its phases."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.protocol.search import loss_params
from harness.schema import Problem, Run
from harness.training import loss_groups, network
from harness.training.loss_files import loss_file
from harness.training.state import Phase

OPTIMISERS = {
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class Models:
    """What has a state that training changes."""

    network: network.Network
    loss: nn.Module
    optimiser: torch.optim.Optimizer

    def copy_state(self) -> dict[str, Any]:
        """A copy of every state, by name."""
        return {name: _copied(model.state_dict()) for name, model in vars(self).items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put states back; the optimiser keeps the learning rates that it was built with."""
        rates = [group["lr"] for group in self.optimiser.param_groups]
        for name, model in vars(self).items():
            model.load_state_dict(_copied(state[name]))
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate


def _copied(state: Any) -> Any:
    """As copy.deepcopy, whose bookkeeping for every tensor took a fifth of a small training."""
    if type(state) is Tensor:
        return state.detach().clone()
    if isinstance(state, dict):
        copied = copy.copy(state)  # with the attributes of a module's state: its version
        copied.update({name: _copied(value) for name, value in state.items()})
        return copied
    if isinstance(state, list):
        return [_copied(value) for value in state]
    return copy.deepcopy(state)


def models_of(run: Run, model: network.Network, n_classes: int, phase: Phase) -> Models:
    """The network, a loss with the phase's params, an optimiser with the phase's learning rates.

    ValueError where the loss's own parameters would not be trained as its file says.
    """
    module = loss_file(run.study, run.loss)
    normal, followup = loss_params({}, run.params)
    params = normal if phase == "normal" else followup
    loss = module.Loss(n_classes=n_classes, dim=run.dim, **params)
    loss.to(next(model.parameters()).device)
    scale = 1.0 if phase == "normal" else _rate(run, "followup_lr_ratio")
    if run.stage == "complete" and run.study.complete_lr_scale == "sqrt_dim":
        scale *= math.sqrt(run.study.dim / run.study.complete_dim)
    weight_decay = run.study.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": parameters, "lr": scale * _rate(run, "lr") * ratio, "weight_decay": weight_decay}
        for parameters, ratio in _network_groups(model, run.study.trunk_lr_ratio)
    ]
    groups += [
        {
            "params": group["params"],
            "lr": scale * _rate(run, "loss_lr") * group["lr_factor"],
            "weight_decay": group.get("weight_decay", weight_decay),
        }
        for group in loss_groups.groups_of(loss, own_parameters=module.OWN_PARAMETERS)
    ]
    study = run.study
    momentum = {"momentum": study.momentum} if study.optimiser in ("rmsprop", "sgd") else {}
    return Models(model, loss, OPTIMISERS[study.optimiser](groups, **momentum))


def _network_groups(
    model: network.Network, trunk_ratio: float
) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters of the network that learn, with the ratio of their learning rate to the head's.

    One group where the ratio is 1.
    """
    if trunk_ratio == 1:
        return [([each for each in model.parameters() if each.requires_grad], 1.0)]
    trunk = list(model.trunk.parameters())
    in_trunk = set(map(id, trunk))
    rest = [each for each in model.parameters() if id(each) not in in_trunk]
    return [(trunk, trunk_ratio), (rest, 1.0)]


def _rate(run: Run, name: str) -> float:
    """A learning rate or ratio: the run's, or the study's where it is not searched."""
    value = run.params.get(name, getattr(run.study, name))
    if isinstance(value, tuple):
        raise Problem(
            f"{run.loss}: {name} is searched in study {run.study.name!r} but the run has no value"
        )
    return float(value)
