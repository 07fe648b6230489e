"""Ray: pretend nodes on this machine, one of them lost in mid-run."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed (the extra `ray`)", allow_module_level=True)

import ray
from ray._private import ray_constants
from ray.cluster_utils import Cluster

from harness.engines import conductor, execute
from harness.engines.endings import Lost
from harness.engines.ray import Ray, fitting
from harness.schema import Problem
from tests.engines import interrupted, killer
from tests.made import HANGS

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="needs /proc to find the node of a worker"
)
MEMORY = 80 * 1024**2  # of a node's object store; Ray takes nothing smaller


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "fits"),
    [
        ([{"CPU": 4.0, "GPU": 1.0}], 1, 0.25, 4),
        ([{"CPU": 3.0, "GPU": 1.0}], 1, 0.25, 3),
        ([{"CPU": 8.0, "GPU": 2.0}], 1, 0.4, 4),  # two on each GPU, none across both
        ([{"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}], 2, 1, 5),
        ([{"CPU": 8.0, "GPU": 3.0}], 1, 2, 1),
        ([{"CPU": 2.0}, {"CPU": 3.0}, {}], 2, 0, 2),
        ([{"CPU": 64.0}], 1, 1, 0),
    ],
)
def test_runs_in_flight_are_as_many_as_fit_on_the_nodes(nodes, cpus, gpus, fits):
    assert fitting(nodes, cpus, gpus) == fits


def test_no_other_module_of_the_harness_imports_ray():
    root = Path(__file__).resolve().parents[2] / "harness"
    importers = set()
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "ray" for name in names):
                importers.add(str(path.relative_to(root)))
    assert importers == {"engines/ray.py"}


def test_an_address_where_nobody_answers_is_a_problem_at_once(tmp_path):
    begun = time.monotonic()
    with pytest.raises(Problem, match=r"no Ray cluster at 127\.0\.0\.1:1: .*--ray-address"):
        Ray(interrupted.places(tmp_path), "127.0.0.1:1")
    assert time.monotonic() - begun < 5
    with pytest.raises(Problem, match="no Ray cluster at nonsense"):
        Ray(interrupted.places(tmp_path), "nonsense")


def test_a_share_of_a_gpu_that_ray_cannot_give_is_refused(tmp_path):
    with pytest.raises(Problem, match=r"1\.5 GPUs for a run"):
        Ray(interrupted.places(tmp_path), gpus=1.5)


@pytest.fixture
def cluster(monkeypatch):
    """A head that runs nothing and two nodes with a CPU and a pretend GPU each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Without this, Ray replaces 127.0.0.1 in an address by this machine's IP, where nobody listens.
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
    folder = tempfile.mkdtemp(prefix="ray")  # names of sockets may have 107 characters
    monkeypatch.setenv("RAY_TMPDIR", folder)
    common = {"node_ip_address": "127.0.0.1", "object_store_memory": MEMORY}
    head = {"num_cpus": 0, "include_dashboard": False, **common}
    cluster = Cluster()
    try:
        cluster.add_node(**head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, num_gpus=1, **common)
        yield cluster
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def slowly(run, places, stopping):
    interrupted.EPOCH_SECONDS = 0.3
    return interrupted.slowly(run, places, stopping)


def lose_a_node(cluster: Cluster, where: execute.Places, lost: list[str]) -> None:
    """Kill the node that trains, once it has trained some epochs of a run."""
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        for epoch in interrupted.trace(where):
            if epoch.number >= 3:
                raylet = parent_of(epoch.pid)
                for node in cluster.worker_nodes:
                    if node.all_processes["raylet"][0].process.pid == raylet:
                        lost.append(epoch.key)
                        cluster.remove_node(node, allow_graceful=False)
                        return
        time.sleep(0.05)


@pytest.mark.services
@needs_proc
def test_a_node_lost_in_mid_run_changes_no_record(cluster, tmp_path):
    folder = interrupted.folder(tmp_path)
    expected = interrupted.sequential(tmp_path / "sequential", folder)
    root = tmp_path / "ray"
    root.mkdir()
    where = interrupted.places(root)
    lost: list[str] = []
    engine = Ray(where, cluster.address, gpus=0, execute=slowly)
    killer = threading.Thread(target=lose_a_node, args=(cluster, where, lost))
    killer.start()
    try:
        assert engine.slots == 2
        conductor.conduct(interrupted.jobs(where, folder), engine, lambda *_: None)
        killer.join()
        assert len(lost) == 1
        deadline = time.monotonic() + HANGS  # until Ray notices, and the slots are counted again
        while engine.slots != 1:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        engine.close()
        killer.join()
    assert interrupted.recorded(interrupted.jobs(where, folder)) == expected
    interrupted.assert_resumed(where, lost[0])


@pytest.mark.services
@needs_proc
def test_workers_killed_at_random_four_times_or_more_in_a_study_change_no_record(cluster, tmp_path):
    expected, recorded = killer.records_of_both(
        tmp_path,
        lambda where, execute: Ray(where, cluster.address, gpus=0, execute=execute),
        least=4,
        are_children=False,
    )
    assert recorded == expected


def die(_run, _places, _stopping):
    os.kill(os.getpid(), signal.SIGKILL)


def crash(_run, _places, _stopping):
    os.kill(os.getpid(), signal.SIGSEGV)


def report_its_share(_run, _places, _stopping):
    share = ray.get_runtime_context().get_assigned_resources()
    raise Problem(f"{share['CPU']} CPUs, {share['GPU']} GPUs of {ray.get_gpu_ids()}")


def raise_an_error(_run, _places, _stopping):
    raise ZeroDivisionError("an error in the code")


@pytest.mark.services
def test_a_task_gets_its_share_of_a_gpu_and_its_outcome_reaches_the_conductor(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr("harness.engines.ray.RETRIES", 1)
    where = interrupted.places(tmp_path)
    run = interrupted.jobs(where, interrupted.folder(tmp_path))[0].startable()[0]
    with pytest.raises(Problem, match="no node of the Ray cluster has 1 CPUs and 2 GPUs"):
        Ray(where, cluster.address, gpus=2)
    for gpus, device in ((None, "cuda"), (0, "cpu")):
        engine = Ray(replace(where, device="auto"), cluster.address, gpus=gpus)
        engine.close()
        assert engine.places.device == device
        assert engine.gpus == (device == "cuda")

    def outcome(execute):
        engine = Ray(where, cluster.address, gpus=0.5, execute=execute)
        try:
            return engine.submit(run).result(HANGS)
        finally:
            engine.close()

    with pytest.raises(Lost, match=r"lost 2 times \(WorkerCrashedError\)"):
        outcome(die)
    assert "2 times (Fatal Python error: Segmentation fault)" in str(outcome(crash).failure)
    with pytest.raises(Problem, match=r"1\.0 CPUs, 0\.5 GPUs of \[0\]"):
        outcome(report_its_share)
    with pytest.raises(ZeroDivisionError, match="an error in the code"):
        outcome(raise_an_error)
