"""Runs as Ray tasks, on a running cluster or one that is started on this machine."""

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
from harness.engines.endings import CRASHED, Lost, crash_noted, noted_crash
from harness.engines.execute import Execute, Places
from harness.engines.process import enable_log, given_up, new_stop_file, prepare
from harness.files import CHECKOUT
from harness.records import folder
from harness.schema import Problem, Record, Run, Stopped

RETRIES = 5  # tasks that a run gets after its first one was lost with its worker or node
RESOURCE_SECONDS = 5.0  # after which the number of slots is counted again


class Ray:
    """One task per run, each with `places.threads` CPUs and `gpus` of a GPU (0.25 shares one by 4).

    A run whose worker or node is lost goes on elsewhere from its checkpoint, so the results folder
    must be on a file system that the nodes share. One that crashes all of its workers is a failure
    record; one that loses them otherwise is Lost. `slots` is the number of runs in flight; without
    it, as many as fit on the nodes of the moment. The device auto means cuda where a node has a
    GPU. Tasks end with the process that started them.
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
        self._slots, self._counted_at = slots, 0.0
        self._fixed = slots is not None
        self._in_flight: dict[Future[Record], Run] = {}
        _connect(address)
        if places.device == "auto":
            has_gpu = any(node.get("GPU", 0.0) > 0 for node in _resources())
            places = replace(places, device="cuda" if has_gpu and gpus != 0 else "cpu")
        self.places = places
        self.gpus = float(places.device.startswith("cuda")) if gpus is None else gpus
        if 0 < self.gpus < 1:
            self.places = replace(places, gpu_share=self.gpus)
        if not self._fixed and fitting(_resources(), places.threads, self.gpus) == 0:
            ray.shutdown()
            raise Problem(
                f"no node of the Ray cluster has {places.threads} CPUs and {self.gpus:g} GPUs for "
                "a run; lower --threads or the GPUs of a run, or give --workers N where the "
                "cluster adds nodes by itself"
            )
        self._task = ray.remote(
            num_cpus=places.threads,
            num_gpus=self.gpus,
            max_calls=0,  # a worker with a GPU takes the next run too, its default would be one
            max_retries=RETRIES,
            retry_exceptions=False,
        )(_run_task)
        self._execute = execute
        self._stop_file = new_stop_file(self.places.results)  # where every node sees it

    @property
    def slots(self) -> int:
        """How many runs fit on the nodes of the moment; 1 while there are none."""
        now = time.monotonic()
        if not self._fixed and (self._slots is None or now - self._counted_at > RESOURCE_SECONDS):
            self._slots = fitting(_resources(), self.places.threads, self.gpus)
            self._counted_at = now
        return max(1, self._slots or 0)

    def submit(self, run: Run) -> Future[Record]:
        """Start a task."""
        future: Future[Record] = Future()
        self._in_flight[future] = run
        result = self._task.remote(self._execute, run, self.places, self._stop_file).future()
        result.add_done_callback(lambda result: self._finish(future, result))
        return future

    def _finish(self, future: Future[Record], result: Future[Record | Problem | Stopped]) -> None:
        """Pass a task's outcome on."""
        run = self._in_flight.pop(future, None)
        if run is None:
            return  # closed
        error = result.exception()
        if error is None:
            outcome = result.result()
            if isinstance(outcome, Record):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)
        elif isinstance(error, exceptions.WorkerCrashedError | exceptions.OutOfMemoryError):
            times = f"{RETRIES + 1} times"
            crash = noted_crash(folder.crash_path(self.places.results, run))
            if crash is None:
                future.set_exception(
                    Lost(f"its Ray worker was lost {times} ({type(error).__name__})")
                )
            else:
                future.set_result(given_up(run, f"{CRASHED} {times} ({crash})"))
        elif isinstance(error, exceptions.RayTaskError):
            future.set_exception(error)  # an error in the code, with the traceback of the task
        else:
            lines = str(error).strip().splitlines() or [""]
            future.set_exception(
                Problem(
                    f"Ray cannot execute {run.loss} {run.key}: {type(error).__name__}: {lines[0]}; "
                    "when the cluster is well again, the same command carries on"
                )
            )

    def stop(self) -> str:
        """Let the runs in flight finish their epoch and write a checkpoint; see Stopped."""
        self._stop_file.touch()
        return "stopping: runs in flight finish their epoch and keep a checkpoint"

    def close(self) -> None:
        """Leave the cluster, or stop the one started here; runs in flight end."""
        futures = list(self._in_flight)
        self._in_flight.clear()
        for future in futures:
            future.cancel()
        ray.shutdown()
        self._stop_file.unlink(missing_ok=True)


def fitting(nodes: Sequence[Mapping[str, float]], cpus: int, gpus: float) -> int:
    """How many runs fit at one time on nodes with these resources, if each needs `cpus` and `gpus`.

    A fraction of a GPU never spans two GPUs.
    """
    total = 0
    for resources in nodes:
        runs = int(resources.get("CPU", 0.0) / cpus + 1e-6)
        if gpus > 1:
            runs = min(runs, int(resources.get("GPU", 0.0) / gpus + 1e-6))
        elif gpus > 0:
            runs = min(runs, int(resources.get("GPU", 0.0)) * int(1 / gpus + 1e-6))
        total += runs
    return total


def _resources() -> list[Mapping[str, float]]:
    """What each node of the cluster has: {"CPU": 8.0, "GPU": 1.0, ...}."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def _connect(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environment = {"env_vars": {"PYTHONPATH": _python_path()}}
    try:
        if address is None:
            ray.init("local", runtime_env=environment, log_to_driver=False, include_dashboard=False)
        else:
            _check_reachable(address)
            ray.init(address, runtime_env=environment, log_to_driver=False)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise Problem(
            f"no Ray cluster at {address or 'this machine'}: {lines[0]}; give --ray-address "
            "HOST:PORT of a running one, or auto for the one on this machine, or leave it out to "
            "start one here"
        ) from None


def _check_reachable(address: str) -> None:
    """An error at once where nobody answers or no port is named; Ray itself tries for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if address != "auto":
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _python_path() -> str:
    """The PYTHONPATH of the workers, with this checkout first."""
    return os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))


def _run_task(
    execute: Execute, run: Run, places: Places, stop_file: Path
) -> Record | Problem | Stopped:
    """What a task executes.

    A Problem and Stopped are returned, because Ray wraps exceptions in one of its own.
    """
    enable_log()
    prepare(places)
    try:
        with crash_noted(folder.crash_path(places.results, run)):
            return execute(run, places, stop_file.exists)
    except (Problem, Stopped) as outcome:
        return outcome
