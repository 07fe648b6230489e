"""Sizes at which a small gallery takes every way that a large one does."""

from __future__ import annotations

import contextlib
from unittest import mock

from harness.measure import candidates, products, tiles


@contextlib.contextmanager
def small_tiles(tile: int, group: int):
    """Tiles, groups, strips and blocks so small that a small gallery has many of them."""
    with (
        mock.patch.object(candidates, "TILE", tile),
        mock.patch.object(tiles, "GROUP", group),
        mock.patch.multiple(products, ROWS=tile, FEW_ROWS=7, STRIP_BYTES=9, ADDED=5),
    ):
        yield
