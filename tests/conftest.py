"""One thread a process: tests run side by side, and results are compared bit by bit."""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything is computed in float64, also what asks for float32 by `Tensor.float`.

    For comparisons of a training with another that is written differently. They agree up to
    rounding, which training in float32 amplifies: an optimiser that divides a gradient by its size
    moves a weight by a whole step even where the gradient is nothing but rounding. How far the two
    are apart after a few steps then depends on the processor. Rounding in float64 stays small.
    """
    default = torch.get_default_dtype()
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(default)
