"""Runs as Ray tasks, on a cluster that is already there or one that is started on this machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import ray
from ray import exceptions

from harness.engines import execute
from harness.engines.execute import Execute, Places
from harness.engines.local import keep_log, prepare, stop_file
from harness.schema import Problem, Record, Run, Stopped, record_of

ROOT = Path(__file__).resolve().parent.parent
RETRIES = 5  # tasks that a run gets after its first one was lost with its worker or node
RESOURCE_SECONDS = 5.0  # for which the number of places to run is taken for known


class Ray:
    """One task per run, each with `places.threads` CPUs and `gpus` of a GPU (0.25 shares one by 4).

    A run whose worker or node is lost goes on elsewhere from its checkpoint, so the results folder
    must be on a file system that the nodes share. `slots` is the number of runs in flight; without
    it as many as fit on the nodes of the moment. The device auto means cuda where a node has a GPU.
    Tasks end with the process that started them.
    """

    def __init__(
        self,
        places: Places,
        address: str | None = None,
        *,
        gpus: float | None = None,
        slots: int | None = None,
        execute: Execute = execute.execute,
    ) -> None:
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise Problem(f"{gpus} GPUs for a run; a fraction up to 1 or a whole number is needed")
        self._slots, self._counted = slots, 0.0
        self._fixed = slots is not None
        self._flying: dict[Future[Record], Run] = {}
        _connect(address)
        if places.device == "auto":
            there = any(node.get("GPU", 0.0) > 0 for node in _resources())
            places = replace(places, device="cuda" if there and gpus != 0 else "cpu")
        self.places = places
        self.gpus = float(places.device.startswith("cuda")) if gpus is None else gpus
        if not self._fixed and fitting(_resources(), places.threads, self.gpus) == 0:
            ray.shutdown()
            raise Problem(
                f"no node of the Ray cluster has {places.threads} CPUs and {self.gpus:g} GPUs for "
                "a run; lower --threads or the GPUs of a run, or give --workers N where the "
                "cluster adds nodes by itself"
            )
        self._task = ray.remote(
            num_cpus=places.threads, num_gpus=self.gpus, max_retries=RETRIES, retry_exceptions=False
        )(_perform)
        self._execute = execute
        self._stop_file = stop_file(self.places.results)  # where every node sees it

    @property
    def slots(self) -> int:
        """How many runs fit on the nodes that are there; 1 while there are none."""
        now = time.monotonic()
        if not self._fixed and (self._slots is None or now - self._counted > RESOURCE_SECONDS):
            self._slots, self._counted = fitting(_resources(), self.places.threads, self.gpus), now
        return max(1, self._slots or 0)

    def submit(self, run: Run) -> Future[Record]:
        """Start a task."""
        outer: Future[Record] = Future()
        self._flying[outer] = run
        inner = self._task.remote(self._execute, run, self.places, self._stop_file).future()
        inner.add_done_callback(lambda done: self._finish(outer, done))
        return outer

    def _finish(self, outer: Future[Record], inner: Future[Record | Problem | Stopped]) -> None:
        run = self._flying.pop(outer, None)
        if run is None:
            return  # closed
        error = inner.exception()
        if error is None:
            told = inner.result()
            if isinstance(told, Record):
                outer.set_result(told)
            else:
                outer.set_exception(told)
        elif isinstance(error, exceptions.WorkerCrashedError | exceptions.OutOfMemoryError):
            outer.set_result(_given_up(run, error))
        elif isinstance(error, exceptions.RayTaskError):
            outer.set_exception(error)  # an error in the code, with its traceback over there
        else:
            said = str(error).strip().splitlines() or [""]
            outer.set_exception(
                Problem(
                    f"Ray cannot execute {run.loss} {run.key}: {type(error).__name__}: {said[0]}; "
                    "when the cluster is well again, the same command carries on"
                )
            )

    def stop(self) -> str:
        """Ask the runs in flight to end after their epoch, their checkpoint kept; see Stopped."""
        self._stop_file.touch()
        return "stopping: runs in flight finish their epoch and keep a checkpoint"

    def close(self) -> None:
        """Leave the cluster, or stop the one started here; runs in flight end."""
        flying = list(self._flying)
        self._flying.clear()
        for outer in flying:
            outer.cancel()
        ray.shutdown()
        self._stop_file.unlink(missing_ok=True)


def fitting(nodes: Sequence[Mapping[str, float]], cpus: int, gpus: float) -> int:
    """How many runs that need so much each fit on nodes with these resources at one time."""
    total = 0
    for resources in nodes:
        fits = int(resources.get("CPU", 0.0) / cpus + 1e-6)
        if gpus > 1:
            fits = min(fits, int(resources.get("GPU", 0.0) / gpus + 1e-6))
        elif gpus > 0:  # a fraction never spans two GPUs
            fits = min(fits, int(resources.get("GPU", 0.0)) * int(1 / gpus + 1e-6))
        total += fits
    return total


def _resources() -> list[Mapping[str, float]]:
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def _connect(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environment = {"env_vars": {"PYTHONPATH": _path()}}
    try:
        if address is None:
            ray.init("local", runtime_env=environment, log_to_driver=False, include_dashboard=False)
        else:
            _knock(address)
            ray.init(address, runtime_env=environment, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise Problem(
            f"no Ray cluster at {address or 'this machine'}: {said[0]}; give --ray-address "
            "HOST:PORT of a running one, or auto for the one on this machine, or leave it out to "
            "start one here"
        ) from None


def _knock(address: str) -> None:
    """OSError or ValueError at once where nobody answers; Ray itself tries for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address != "auto":
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _path() -> str:
    """The workers' PYTHONPATH: this checkout first."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def _perform(execute: Execute, run: Run, places: Places, stop: Path) -> Record | Problem | Stopped:
    """What a task does."""
    keep_log()
    prepare(places)
    try:
        return execute(run, places, stop.exists)
    except (Problem, Stopped) as told:
        return told


def _given_up(run: Run, error: BaseException) -> Record:
    return record_of(
        run,
        scores={},
        curve=[],
        epochs=(0, 0),
        failure=f"its Ray worker was lost {RETRIES + 1} times ({type(error).__name__})",
        seconds=0.0,
        provenance={},
    )
