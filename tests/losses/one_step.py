"""Peak memory of one training step of each loss, each in a process of its own.

    python -m tests.losses.one_step N_CLASSES DIM LOSS ...

prints a JSON object a line: loss, peak and base (of the imports alone) in MiB, the loss's value.
Every parameter is at the upper end of its range, where a loss needs most memory, and what a loss
does every so many batches it does in this one.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import sys

import torch
from optuna.distributions import CategoricalDistribution
from torch import nn

from tests.losses.contract import module_of

BATCH, PER_CLASS = 32, 4
MIB = 2**20 if sys.platform == "darwin" else 2**10  # in the unit of ru_maxrss


def step(name: str, n_classes: int, dim: int) -> float:
    """The value of a loss in a step of the study's optimiser: forward, backward, update."""
    module = module_of(name)
    params = {
        key: space.choices[-1] if isinstance(space, CategoricalDistribution) else space.high
        for key, space in module.SPACE.items()
    }
    if "recluster_every" in inspect.signature(module.Loss.__init__).parameters:
        params["recluster_every"] = 1
    torch.manual_seed(0)
    loss = module.Loss(n_classes=n_classes, dim=dim, **params)
    raw = torch.randn(BATCH, dim, requires_grad=True)
    labels = torch.randperm(n_classes)[: BATCH // PER_CLASS].repeat_interleave(PER_CLASS)
    groups: list[dict[str, object]] = [{"params": [raw]}]
    if module.OWN_PARAMETERS:
        parameters = [{"params": list(loss.parameters())}]
        groups += [
            {"params": group["params"]}
            for group in (loss.groups() if hasattr(loss, "groups") else parameters)
        ]
    optimiser = torch.optim.RMSprop(groups, lr=1e-6, momentum=0.9)
    value = loss(nn.functional.normalize(raw) if module.EMBEDDING == "unit" else raw, labels)
    value.backward()
    optimiser.step()
    return float(value.detach())


def main(n_classes: int, dim: int, names: list[str]) -> None:
    """Print the peak of every loss. A fork shares the imports, and its peak is counted apart."""
    for name in names:
        module_of(name)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    for name in names:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, json.dumps(step(name, n_classes, dim)).encode())
            os._exit(0)
        os.close(writer)
        _, status, usage = os.wait4(child, 0)
        with os.fdopen(reader) as file:
            value = json.loads(file.read() or "null")
        entry = {"loss": name, "peak": usage.ru_maxrss / MIB, "base": base, "value": value}
        print(json.dumps(entry | {"status": status, "seconds": usage.ru_utime}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
