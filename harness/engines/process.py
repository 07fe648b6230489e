"""The process that executes runs, the same for every engine: its set-up, and how it is stopped."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
import uuid
from multiprocessing.connection import wait
from pathlib import Path

from harness.engines.execute import Places
from harness.engines.memory import keep_freed_memory
from harness.schema import Record, Run, record_of

CONDUCTOR_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the conductor handles them, workers do not


def prepare(places: Places) -> None:
    """Set the threads and the determinism of this process."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Workers share what torch.compile builds (`compile` in a study).
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((places.data / "compiled").resolve()))
    # Otherwise it picks kernels by timing them, and a run that goes on elsewhere gets other ones.
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    import torch

    from harness.training import precision

    torch.set_num_threads(places.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling every new tensor with NaN takes a third of a small network's time. It only makes reads
    # of uninitialised memory reproducible, and nothing here reads any.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    precision.set_tf32(in_convolutions=False)
    if places.gpu_share < 1 and places.device.startswith("cuda"):
        # so that no slot takes the memory of another
        torch.cuda.set_per_process_memory_fraction(places.gpu_share, torch.device(places.device))
    keep_freed_memory()


def start_worker(places: Places) -> None:
    """Set up a worker process of this machine, which ends when its parent does.

    It ignores Ctrl-C and SIGTERM: the conductor receives them too, and ends its workers.
    """
    for number in CONDUCTOR_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def exit_with_parent() -> None:
            wait([sentinel])
            os._exit(1)

        threading.Thread(target=exit_with_parent, daemon=True).start()
    prepare(places)


def enable_log() -> None:
    """Print the harness's log messages: a process on a cluster's node has its output in a file."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("harness").setLevel(logging.INFO)


def new_stop_file(folder: Path) -> Path:
    """A path for one engine's stop file: once the file exists, its runs end early."""
    return folder / f".harness-stop-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def given_up(run: Run, reason: str) -> Record:
    """The failure record of a run whose processes ended again and again without a result."""
    return record_of(
        run,
        scores={},
        curve=[],
        epochs=(0, 0),
        failure=reason,
        seconds=0.0,
        provenance={},
    )
