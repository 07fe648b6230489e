"""Reads a run that Weights & Biases wrote offline."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.made import HANGS


@dataclass
class Offline:
    """What a .wandb file holds of a run."""

    name: str = ""
    group: str = ""
    job_type: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)


def run_in(path: Path) -> Offline:
    """The run of a .wandb file, once it is whole: on a crowded machine that is after its end."""
    deadline = time.monotonic() + HANGS
    while not (run := _so_far(path)).summary:
        assert time.monotonic() < deadline, f"{path} holds no summary"
        time.sleep(0.1)
    return run


def _so_far(path: Path) -> Offline:
    """What a .wandb file holds now, its messages read by the package."""
    from wandb.proto import wandb_internal_pb2 as pb2

    run = Offline()
    for data in _messages(path.read_bytes()):
        record = pb2.Record.FromString(data)
        if record.HasField("run"):
            run.name = record.run.display_name
            run.group, run.job_type = record.run.run_group, record.run.job_type
            items = record.run.config.update
            run.config |= _values(items)
        elif record.HasField("history"):
            run.history.append(_values(record.history.item))
        elif record.HasField("summary"):
            run.summary |= _values(record.summary.update)
    return run


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages of a log in LevelDB's format: blocks of pieces, each with a head of 7 bytes."""
    message, place = b"", 7  # the file has a head of its own, in the first block
    while place + 7 <= len(data):
        left_in_block = 32768 - place % 32768
        if left_in_block < 7:
            place += left_in_block
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        message += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole message, or the last piece of one
            yield message
            message = b""


def _values(items: Any) -> dict[str, Any]:
    """Names, nested ones joined, with their values."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
