"""`bench --gpu-report`: what is to be known of a GPU first, in one command.

Each part is measured by itself, and one that ends in an error is reported and costs no other. Lines
are printed as they come, so a machine that is taken away has not worked for nothing.
"""

from __future__ import annotations

import contextlib
import functools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.commands.bench import gpu_rates, report, step, timing
from harness.commands.bench.gpu_rates import precisions
from harness.commands.options import names_in
from harness.engines.alerts import ALERT, matching_warnings
from harness.files import CHECKOUT
from harness.records import records
from harness.schema import Part, Problem, Run
from harness.training import checkpoints, train

WAITS = re.compile("called a synchronizing CUDA operation")
STUDY = "--study smoke --loss warped --dataset glyphs"  # of `kill`
FIRST_RECORDS = 3  # after which the study of `kill` is stopped
State = dict[str, Tensor]


def lines(
    device: torch.device, folder: Path, *, rounds: int, say: Callable[[str], None]
) -> Iterator[str]:
    """The whole report; `folder` is for what the parts write, `say` takes a line on progress."""
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "losses": functools.partial(losses, device),
        "bits": functools.partial(bits, device, folder),
        "layouts": functools.partial(gpu_rates.layouts, device),
        "slots": functools.partial(gpu_rates.slots, device),
        "kill": functools.partial(kill, device, folder),
    }
    for name, part in parts.items():
        began = time.monotonic()
        try:
            for line in part():
                yield f"{name}: {line}"
        except Exception as error:  # a device that nobody has tried may raise anything
            yield f"{name}: ended by {type(error).__name__}: {_first_line(error)}"
        yield f"{name}: {time.monotonic() - began:.0f} s"
    yield timing.text(report.measure((), rounds=rounds, device=str(device), say=say))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


# --- one step of every loss: is it deterministic, and how often does it wait?


def losses(device: torch.device) -> Iterator[str]:
    """Which losses have an operation without a deterministic implementation; waits of a step."""
    case = step.Case("convnet", 32, "fp32", 32, steps=2)
    part = step.part_of(step.random_images(case))
    failures, waits = dict[str, str](), dict[str, float]()
    names = names_in("losses")
    for name in names:
        run = replace(step.a_run(step.study_of(case), epochs=1), loss=name)
        failure, waits[name] = one_epoch(run, part, device)
        if failure:
            failures[name] = failure
    yield f"{len(names) - len(failures)} of {len(names)} train with deterministic operations alone"
    yield from (f"{name}: {failure}" for name, failure in failures.items())
    if device.type == "cuda":
        ordered = sorted(waits.items(), key=lambda item: -item[1])
        yield "waits of the host a step: " + ", ".join(f"{name} {n:g}" for name, n in ordered)


def one_epoch(run: Run, part: Part, device: torch.device) -> tuple[str, float]:
    """Why an epoch with deterministic operations alone ends early, if it does; waits a step."""
    failure = ""
    with timing.as_runs_execute(run.study, device), counted_waits(device) as waits:
        torch.use_deterministic_algorithms(True, warn_only=False)
        try:
            training = train.start(run, part, device)
            waits.clear()  # the start copies the network to the device
            for _ in train.epochs(training):
                pass
        except Exception as error:
            alert = ALERT.match(_first_line(error))
            failure = f"{alert[1]} is not deterministic" if alert else f"{error!r}"
    return failure, len(waits) / (run.study.iterations or 1)


@contextlib.contextmanager
def counted_waits(device: torch.device) -> Iterator[list[str]]:
    """Collect torch's warnings of operations that wait for the GPU; none on another device."""
    waits: list[str] = []
    if device.type != "cuda":
        yield waits
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with matching_warnings(WAITS, lambda wait: waits.append(wait[0])):
            yield waits
    finally:
        torch.cuda.set_sync_debug_mode("default")


# --- bits: the same training again, and one that goes on from its checkpoint


def bits(device: torch.device, folder: Path) -> Iterator[str]:
    """Whether two trainings, and one that was stopped and resumed, end with the same bits."""
    sizes = gpu_rates.Sizes.on(device)
    for trunk, crop in (("convnet", 32), *sizes.trunks):
        for precision in precisions(device):
            case = step.Case(trunk, crop, precision, sizes.batch, sizes.steps)
            first, again = trained(case, device), trained(case, device)
            resumed = trained(case, device, folder / f"{trunk}-{precision}.checkpoint")
            yield (
                f"{trunk} {crop} px {precision}: again {compared(first, again)}; "
                f"resumed {compared(first, resumed)}"
            )


def trained(case: step.Case, device: torch.device, checkpoint: Path | None = None) -> State:
    """The network's state after two epochs, stopped and resumed between them with a checkpoint."""
    study = step.study_of(case)
    run, part = step.a_run(study, epochs=2), step.part_of(step.random_images(case))
    with timing.as_runs_execute(study, device):
        training = train.start(run, part, device)
        epochs = train.epochs(training)
        if checkpoint is not None:
            next(epochs)
            checkpoints.write(checkpoint, training, 0.0)
            training = train.start(run, part, device)
            checkpoints.resume(checkpoint, training)
            if training.state.epoch != 1:
                raise Problem(f"{checkpoint} was not taken up")
            epochs = train.epochs(training)
        for _ in epochs:
            pass
        return {name: value.cpu() for name, value in training.network.state_dict().items()}


def compared(one: State, other: State) -> str:
    """Whether two states are the same bit for bit, or how far apart they are, in words."""
    if all(torch.equal(value, other[name]) for name, value in one.items()):
        return "the same bits"
    gaps = [float((v.double() - other[name].double()).abs().max()) for name, v in one.items()]
    return f"OTHER BITS (up to {max(gaps):.2g})"


# --- a study that is killed and goes on


def kill(device: torch.device, folder: Path) -> Iterator[str]:
    """The smoke study whole, and stopped by SIGTERM and continued: are the records the same?"""
    whole, stopped = folder / "whole", folder / "stopped"
    yield _finished(_start(device, whole), whole)
    process = _start(device, stopped)
    while process.poll() is None and len(_scores(stopped)) < FIRST_RECORDS:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.wait()
    yield f"stopped with {len(_scores(stopped))} records"
    yield _finished(_start(device, stopped), stopped)
    expected, found = _scores(whole), _scores(stopped)
    same = sum(scores == found.get(key) for key, scores in expected.items())
    yield f"{same} of {len(expected)} records have the same scores to the last digit"


def _start(device: torch.device, results: Path) -> subprocess.Popen[bytes]:
    """The study's command; studies of one report share its data."""
    words = [*STUDY.split(), "--quiet", "--device", str(device)]
    words += ["--results", str(results), "--data", str(results.parent / "data")]
    program = [sys.executable, "-m", "harness", "study", *words]
    return subprocess.Popen(program, cwd=CHECKOUT, stdout=subprocess.DEVNULL)


def _finished(process: subprocess.Popen[bytes], results: Path) -> str:
    """Wait for the study's end; how many records there are and how long that took."""
    began = time.monotonic()
    if code := process.wait():
        raise Problem(f"the study ended with the exit code {code}")
    seconds = time.monotonic() - began
    return f"{results.name}: {len(_scores(results))} records in {seconds:.0f} s"


def _scores(results: Path) -> dict[str, Any]:
    """The scores of every record, by loss and key."""
    return {
        f"{record.loss} {record.key}": record.scores
        for path in sorted(results.glob("smoke/*/*.jsonl"))
        for record in records.read(path).records
    }
