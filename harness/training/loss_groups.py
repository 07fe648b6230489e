"""The parameters of a loss, in groups that each have one learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

KEYS = ("params", "lr_factor", "weight_decay")
FORM = "{'params': [...], 'lr_factor': 1.0}, and if need be 'weight_decay'"


def groups_of(loss: nn.Module, *, own_parameters: bool) -> list[dict[str, Any]]:
    """What `groups()` of a loss says, by KEYS; one group of all parameters where it has none.

    `own_parameters` is the loss file's OWN_PARAMETERS. ValueError, for the file's author, where a
    parameter would not be trained as stated: it is in no group, or in two, or is another one by
    now, or a factor is no number that an optimiser takes.
    """
    trainable = {name: each for name, each in loss.named_parameters() if each.requires_grad}
    if not own_parameters:
        if trainable:
            raise ValueError(
                f"Loss has parameters, {_list(trainable)}, which OWN_PARAMETERS = False leaves "
                "untrained; write OWN_PARAMETERS = True, or requires_grad=False where it is meant"
            )
        return []
    given = getattr(loss, "groups", None)
    if not callable(given):
        return [{"params": list(loss.parameters()), "lr_factor": 1.0}]
    groups = [_group(each) for each in given()]
    times = [id(each) for group in groups for each in group["params"]]
    if left_out := [name for name, each in trainable.items() if id(each) not in times]:
        raise ValueError(
            f"groups() leaves out {_list(left_out)}, which would never be trained; name every "
            "parameter in one group, or set its requires_grad to False"
        )
    if twice := [name for name, each in trainable.items() if times.count(id(each)) > 1]:
        raise ValueError(f"groups() names {_list(twice)} more than once; leave it in one group")
    if set(times) - {id(each) for each in loss.parameters()}:
        raise ValueError(
            "groups() names a tensor that is no parameter of Loss; give those that __init__ set, "
            "such as self.proxies"
        )
    return groups


def _group(given: Any) -> dict[str, Any]:
    """A group by KEYS, its parameters in a list; ValueError where it is none."""
    if not isinstance(given, Mapping):
        raise ValueError(f"groups() gives {type(given).__name__}; a list of {FORM}, is needed")
    if unknown := [key for key in given if key not in KEYS]:
        raise ValueError(f"groups() gives {_list(unknown)}, which is none of {', '.join(KEYS)}")
    params = given.get("params")
    if params is None or isinstance(params, Tensor):
        raise ValueError(f"groups() gives no list of parameters as 'params'; {FORM}, is needed")
    for key in ("lr_factor", "weight_decay"):
        value = given.get(key, 0.0)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value < math.inf:
            raise ValueError(f"groups() gives {key} = {value!r}; a number from 0 up is needed")
    return {"lr_factor": 1.0, **given, "params": list(params)}


def _list(names: Any) -> str:
    return ", ".join(map(str, names))
