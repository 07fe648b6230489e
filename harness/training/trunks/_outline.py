"""What a network of a library gives for images of a size, seen without its memory or arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are built here have parameters and buffers of shapes alone (device meta).

    The global generator is left as it was. For one thread at a time: the hooks are global.
    """

    def parameter_on_meta(_module: nn.Module, _name: str, value: nn.Parameter | None) -> object:
        return None if value is None else nn.Parameter(value.to("meta"), value.requires_grad)

    def buffer_on_meta(_module: nn.Module, _name: str, value: Tensor | None) -> object:
        return None if value is None else value.to("meta")

    # what the hooks return takes the place of what is registered, which torch's types do not say
    handles = [
        hooks.register_module_parameter_registration_hook(cast(Any, parameter_on_meta)),
        hooks.register_module_buffer_registration_hook(cast(Any, buffer_on_meta)),
    ]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for handle in handles:
            handle.remove()


def outline(build: Callable[[], nn.Module]) -> nn.Module:
    """The module that `build` makes, with parameters and buffers of shapes alone."""
    try:
        with without_memory():
            return build()
    except RuntimeError:  # of one that computes while it is built: on tensors of shapes too
        with torch.device("meta"), without_memory():
            return build()


def output(module: nn.Module, forward: Callable[[Tensor], Any], side: int) -> Any:
    """What `forward`, of a module built without memory, gives for two images of that side."""
    module.eval()
    with torch.no_grad():
        return forward(torch.empty(2, 3, side, side, device="meta"))


def cannot(crop: int, reason: str, side: int) -> str:
    """That a network gives no features of such crops, and which crops it was made for."""
    what = f"gives no features of crops of {crop} px ({reason})"
    if crop == side:
        return f"{what}; take another trunk"
    return f"{what}; it was made for {side} px: set crop = {side}, and resize to that or more"
