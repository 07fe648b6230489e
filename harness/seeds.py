"""Seeds are hashes of names: adding a loss, a trial or a repeat changes no other seed."""

from __future__ import annotations

import hashlib


def seed_from(*names: str | int) -> int:
    """A seed in 0..2**31-1 that depends on the names and their order alone."""
    text = "/".join(f"{type(name).__name__}:{name}" for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
