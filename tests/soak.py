"""A study under random kills, for as long as one likes: what is lost, and does memory grow?

    python -m tests.soak --minutes 30 --results RESULTS -- study --study demo --workers 2

Every few seconds one process of the study gets SIGKILL: mostly a worker, at times the coordinator,
which is then started again by the same command. Lines of records that were once on disk must stay
there as they were, and no run may be recorded twice. The last line is a JSON object; the exit code
is 1 where something was lost. A study that ends early ends the soak.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.made import children_of, is_worker

EVERY = 2.0  # seconds between two looks
COORDINATOR = 0.2  # share of the kills


def lines_of(results: Path) -> dict[Path, list[str]]:
    """The whole lines of every file of records, without a torn last one."""
    found = {}
    for path in results.glob("*/*/*.jsonl"):
        text = path.read_text(encoding="utf-8", errors="replace")
        found[path] = text[: text.rfind("\n") + 1].splitlines()
    return found


def resident(pid: int) -> float:
    """MiB of memory that a process holds; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class Soak:
    """What happened so far."""

    command: Sequence[str]
    results: Path
    draw: random.Random
    seen: dict[Path, list[str]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    lost: int = 0
    memory: list[list[float]] = field(default_factory=list)  # MiB, of each life of the coordinator

    def start(self) -> subprocess.Popen[bytes]:
        """The study's command, as a user would give it again."""
        self.starts += 1
        self.memory.append([])
        words = [sys.executable, "-m", "harness", *self.command, "--results", str(self.results)]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def look(self) -> None:
        """Count the lines that were on disk and are not there any more."""
        now = lines_of(self.results)
        for path, lines in self.seen.items():
            kept = now.get(path, [])
            self.lost += sum(old != new for old, new in zip(lines, kept, strict=False))
            self.lost += max(0, len(lines) - len(kept))
        self.seen = now

    def kill(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Kill a worker or the coordinator; the process that goes on with the study."""
        workers = [pid for pid in children_of(process.pid) if is_worker(pid)]
        if workers and self.draw.random() > COORDINATOR:
            os.kill(self.draw.choice(workers), signal.SIGKILL)
            self.kills["worker"] += 1
            return process
        process.kill()
        process.wait()
        self.kills["coordinator"] += 1
        self.look()
        return self.start()

    def run(self, seconds: float, pauses: tuple[float, float]) -> int:
        """From the first record until the time is over or the study ends; the study's exit code."""
        process = self.start()
        while process.poll() is None and not any(lines_of(self.results).values()):
            time.sleep(EVERY)
        ends = time.monotonic() + seconds
        next_kill = time.monotonic() + self.draw.uniform(*pauses)
        while process.poll() is None and time.monotonic() < ends:
            time.sleep(EVERY)
            self.look()
            self.memory[-1].append(resident(process.pid))
            if time.monotonic() > next_kill and process.poll() is None:
                process = self.kill(process)
                next_kill = time.monotonic() + self.draw.uniform(*pauses)
        if process.poll() is None:
            process.terminate()
        return process.wait()

    def summary(self) -> dict[str, object]:
        """Counts, and the coordinator's memory at the beginning and the end of its longest life."""
        records = [json.loads(line) for lines in lines_of(self.results).values() for line in lines]
        keys = Counter((r["loss"], r["dataset"], r["key"], r.get("search_repeat")) for r in records)
        longest = max(self.memory, key=len)[5:]  # after its start
        tenth = max(1, len(longest) // 10)
        return {
            "runs": len(records),
            "failures": sum(r["failure"] is not None for r in records),
            "kills": dict(self.kills),
            "starts": self.starts,
            "lost": self.lost,
            "twice": sum(count > 1 for count in keys.values()),
            "coordinator_mib": [
                round(statistics.median(part), 1)
                for part in (longest[:tenth], longest[-tenth:])
                if part
            ],
        }


def main() -> int:
    """Soak the study that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pauses", type=float, nargs=2, default=(10.0, 60.0), metavar="SECONDS")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    soak = Soak(given.command, given.results, random.Random(given.seed))
    code = soak.run(60 * given.minutes, tuple(given.pauses))
    soak.look()
    found = soak.summary()
    print(json.dumps({"exit_code": code, **found}))
    return int(bool(found["lost"] or found["twice"]))


if __name__ == "__main__":
    raise SystemExit(main())
