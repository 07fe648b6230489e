"""A real Slurm on the loopback of one machine: two nodes with two pretend GPUs each, no systemd."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.made import HANGS

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "setpriv")
SBIN = os.pathsep.join(["/usr/sbin", "/sbin"])

# cred_expire: requeued jobs wait until their credential has expired; 5 s is the least.
# KillWait: after so many seconds a job that ignores SIGTERM is killed.
# Both are short, because an interruption would take minutes otherwise.
CONFIGURATION = """\
ClusterName=pretend
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
SlurmctldPort={controller}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=1 Gres=gpu:2 State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=1 Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
PRETEND_GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


def obstacle() -> str | None:
    """Why this machine cannot run the tests, or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), SBIN])
    absent = [name for name in (*DAEMONS, *COMMANDS) if shutil.which(name, path=path) is None]
    if absent:
        return f"no {', '.join(absent)} here (Debian: slurm-wlm and munge)"
    return None if os.geteuid() == 0 else "Slurm's daemons need root here"


@contextlib.contextmanager
def slurm(root: Path) -> Iterator[Mapping[str, str]]:
    """Start munged, slurmctld and two slurmd below `root`; yield the environment that finds them.

    In the end every process that was started here is gone, jobs included.
    """
    host = socket.gethostname().split(".")[0]
    controller, first, second = _free_ports(3)
    for folder in ("state", "spool/node1", "spool/node2"):
        (root / folder).mkdir(parents=True)
    (root / "slurm.conf").write_text(
        CONFIGURATION.format(
            host=host, root=root, controller=controller, first=first, second=second
        )
    )
    (root / "gres.conf").write_text(PRETEND_GPUS)
    key = root / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = {
        **os.environ,
        "SLURM_CONF": str(root / "slurm.conf"),
        "PATH": os.pathsep.join([os.environ.get("PATH", ""), SBIN]),
    }
    munged = [
        "munged",
        "--foreground",
        "--force",
        f"--socket={root}/munge.socket",
        f"--key-file={key}",
        f"--pid-file={root}/munged.pid",
        f"--seed-file={root}/munged.seed",
        f"--log-file={root}/munged.log",
    ]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        daemons.append(_daemon(munged, environment))
        _until((root / "munge.socket").exists, "munged", root)
        daemons.append(_daemon(["slurmctld", "-D"], environment))
        for node in ("node1", "node2"):
            daemons.append(_daemon(["slurmd", "-D", "-N", node], environment))
        _until(lambda: _idle_nodes(environment) == 2, "slurmctld and slurmd", root)
        yield environment
    finally:
        _stop(daemons, environment, root)


def _daemon(words: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A child that receives SIGTERM when this process ends, in whatever way."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [bound.getsockname()[1] for bound in sockets]


def ask(environment: Mapping[str, str], *words: str) -> str:
    """What a Slurm command prints; CalledProcessError if it fails."""
    return subprocess.run(
        words, env=environment, check=True, capture_output=True, text=True, timeout=HANGS
    ).stdout


def _idle_nodes(environment: Mapping[str, str]) -> int:
    try:
        return ask(environment, "sinfo", "-N", "-h", "-o", "%T").split().count("idle")
    except subprocess.SubprocessError:
        return 0


def _until(ready, what: str, root: Path) -> None:
    deadline = time.monotonic() + HANGS
    while not ready():
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text()[-2000:] for path in sorted(root.glob("*.log")))
            raise AssertionError(f"{what} did not come up in {HANGS} s:\n{logs}")
        time.sleep(0.1)


def _stop(
    daemons: Sequence[subprocess.Popen[bytes]], environment: Mapping[str, str], root: Path
) -> None:
    with contextlib.suppress(subprocess.SubprocessError):
        ask(environment, "scancel", "--user=root", "--signal=KILL", "--full")
        ask(environment, "scancel", "--user=root")
    for daemon in reversed(daemons):
        daemon.terminate()
        try:
            daemon.wait(5)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    for pid in _processes_with(f"SLURM_CONF={root}/slurm.conf"):  # job steps and their children
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes_with(setting: str) -> list[int]:
    """Processes other than this one whose environment has the setting NAME=value."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if setting.encode() in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
    return [pid for pid in pids if pid != os.getpid()]
