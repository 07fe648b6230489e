"""Tensors that say they are on a GPU and compute on the CPU, to count what a GPU would wait for.

Inside `pretending()` a tensor moved to "cuda" says `cuda:0`. An operation that mixes it with a
tensor of the host raises `MixedDevices`, as a GPU's would. One that cannot go on before the device
has finished (a number is fetched, a shape depends on values, bytes are copied to the host) counts
as a wait. It covers the forward pass; gradients, kernels and streams are not there.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU, HOST = torch.device("cuda", 0), torch.device("cpu")
# Operations whose result the host must have, or whose result's shape depends on values.
WAITING = {
    *("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "bincount"),
    *("_unique2", "unique_dim", "unique_consecutive"),
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
COPYING = {"_to_copy", "copy_"}


class MixedDevices(RuntimeError):
    """An operation was given tensors of the GPU and of the host."""


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU; `host` has its values."""

    host: torch.Tensor

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> OnGpu:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            layout=host.layout,
            device=GPU,
            requires_grad=host.requires_grad,
        )
        made.host = host
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of pretending()")


class _Pretence(TorchDispatchMode):
    """Sees every operation, so that also tensors made on the device without others are seen."""

    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits
        # Torch asks for a driver before it makes a tensor on "cuda", unless a mode of this key is
        # active, as in its own tensors without memory. It reads the three attributes of such a one.
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE
        self.static_shapes, self.shape_env, self.allow_non_fake_inputs = True, None, True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name.partition("::")[2]
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        on_gpu = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
        target = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
        target = torch.device(kwargs["device"]) if kwargs.get("device") else target
        self._check(name, args, tensors, on_gpu)
        self._count(name, args, on_gpu, target)
        hosted, named = tree_map(_host, (args, dict(kwargs)))
        named.pop("pin_memory", None)
        result = func(*hosted, **named)
        to_host = target is not None and target.type == "cpu"
        if name in ("_local_scalar_dense", "is_nonzero", "equal"):
            return result
        if name == "copy_" and not isinstance(args[0], OnGpu):
            return args[0]
        if not (target is not None and target.type == "cuda") and (not on_gpu or to_host):
            return result
        known = {id(tensor.host): tensor for tensor in on_gpu}
        return tree_map(lambda leaf: _on_gpu(leaf, known), result)

    def _check(
        self, name: str, args: Any, tensors: list[torch.Tensor], on_gpu: list[torch.Tensor]
    ) -> None:
        """A number of the host may stand beside tensors of the GPU, and index it; nothing else."""
        if not on_gpu or name in COPYING:
            return
        if name in INDEXING and isinstance(args[0], OnGpu):
            return  # the index is copied to the device, which counts as a wait
        others = [t for t in tensors if not isinstance(t, OnGpu) and t.dim() > 0]
        if others:
            raise MixedDevices(f"{name}: {[tuple(t.shape) for t in others]} of the host")

    def _count(
        self, name: str, args: Any, on_gpu: list[torch.Tensor], target: torch.device | None
    ) -> None:
        if not on_gpu:
            return
        waits = name in WAITING
        if name in INDEXING:
            indices = [i for i in tree_leaves(args[1]) if isinstance(i, torch.Tensor)]
            by_mask = any(index.dtype == torch.bool for index in indices)
            waits = by_mask or any(not isinstance(index, OnGpu) for index in indices)
        if name == "_to_copy":
            waits = target is not None and target.type == "cpu"
        if name == "copy_":
            waits = not isinstance(args[0], OnGpu)
        if waits:
            self.waits[name] += 1


def _host(leaf: Any) -> Any:
    if isinstance(leaf, OnGpu):
        return leaf.host
    return HOST if isinstance(leaf, torch.device) else leaf


def _on_gpu(leaf: Any, known: dict[int, torch.Tensor]) -> Any:
    if not isinstance(leaf, torch.Tensor) or isinstance(leaf, OnGpu):
        return leaf
    return known.get(id(leaf)) if id(leaf) in known else OnGpu(leaf)


@contextlib.contextmanager
def pretending() -> Iterator[Counter[str]]:
    """Let "cuda" be there; the waits so far, by operation."""
    waits: Counter[str] = Counter()
    before = torch._C._only_lift_cpu_tensors()
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    with_cudnn = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False  # its operations are of real GPUs alone
    torch._C._set_only_lift_cpu_tensors(True)
    torch._C._ensureCUDADeviceGuardSet()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Pretence(waits):
            yield waits
    finally:
        torch.backends.cudnn.enabled = with_cudnn
        torch._C._set_only_lift_cpu_tensors(before)
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
