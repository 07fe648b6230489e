"""What jobs ask Slurm for: from the keys of a small TOML file to the options of sbatch."""

from __future__ import annotations

import dataclasses
import difflib
import shlex
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.files import CHECKOUT
from harness.schema import Problem

MAX_QUEUED = 1000  # one job array can hold all that is queued; Slurm's MaxArraySize is 1001


@dataclass(frozen=True, kw_only=True)
class Options:
    """How jobs are submitted. The fields are the keys of the TOML file, all with a default.

    A run that needs more than `time_minutes` is requeued with its checkpoint, at most `timeouts`
    times. Slurm signals the job `signal_seconds` before its time limit. `extra` holds any other
    option of sbatch by its long name, with its value or true.
    """

    partition: str | None = None
    time_minutes: int = 240
    gpus: int = 0
    gres: str | None = None
    cpus: int | None = None  # None: as many as --threads
    memory: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    setup: tuple[str, ...] = ()  # shell lines that the job's script runs before Python
    extra: Mapping[str, str | int | bool] = field(default_factory=dict)
    max_queued: int = 32
    timeouts: int = 100
    signal_seconds: int = 90
    look_seconds: float = 15.0  # between two calls of squeue
    path: str = "the Slurm options"  # the file they come from, for messages

    def __post_init__(self) -> None:
        if self.gpus and self.gres is not None:
            raise Problem(f"{self.path}: gpus = {self.gpus} and gres = {self.gres!r}; give one")
        minima = {"time_minutes": 1, "gpus": 0, "timeouts": 0, "signal_seconds": 1}
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise Problem(f"{self.path}: {name} = {getattr(self, name)}; {minimum} or more")
        if self.cpus is not None and self.cpus < 1:
            raise Problem(f"{self.path}: cpus = {self.cpus}; 1 or more, or leave it out")
        if not 1 <= self.max_queued <= MAX_QUEUED:
            raise Problem(f"{self.path}: max_queued = {self.max_queued}; 1 to {MAX_QUEUED}")
        if not self.look_seconds > 0:
            raise Problem(f"{self.path}: look_seconds = {self.look_seconds}; more than 0")
        if self.signal_seconds > 30 * self.time_minutes:
            raise Problem(
                f"{self.path}: signal_seconds = {self.signal_seconds} leaves a job of "
                f"{self.time_minutes} minutes no time to train; at most {30 * self.time_minutes}"
            )

    @property
    def device(self) -> str:
        """The device of a job: cuda if the options ask Slurm for a GPU."""
        has_gpu = self.gpus > 0 or "gpu" in (self.gres or "")
        return "cuda" if has_gpu or any(name.startswith("gpu") for name in self.extra) else "cpu"


def read(path: Path) -> Options:
    """The options of a TOML file; a Problem names a key that is unknown or of a wrong type.

    `gpus = 1` is one GPU per job, `gres = "gpu:a100:1"` one of a certain type.
    """
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise Problem(f"Slurm options {path} cannot be read ({error.strerror})") from None
    except RecursionError:
        raise Problem(f"Slurm options {path} are nested too deeply; they are flat") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number of 5,000 digits
        raise Problem(f"Slurm options {path} are not TOML: {error}") from None
    hints = typing.get_type_hints(Options)
    names = [item.name for item in dataclasses.fields(Options) if item.name != "path"]
    for name, value in values.items():
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            suggestion = f"did you mean {close[0]!r}? " if close else ""
            raise Problem(
                f"{path}: no key {name!r}; {suggestion}known: {', '.join(names)}; other options of "
                "sbatch go under [extra]"
            )
        if not _fits(value, hints[name]):
            raise Problem(
                f"{path}: {name} = {value!r} is not of the type {_type_name(hints[name])}"
            )
        if isinstance(value, list):
            values[name] = tuple(value)
    return Options(**values, path=str(path))


def _fits(value: object, hint: Any) -> bool:
    """Whether a value of a TOML file has the type of a field."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return isinstance(value, list) and all(isinstance(line, str) for line in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(item, args[1]) for item in value.values())
    if args:
        return any(_fits(value, arg) for arg in args)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _type_name(hint: Any) -> str:
    """The type of a field, in the words of TOML where it has them."""
    if typing.get_origin(hint) is tuple:
        return "list of strings"
    if typing.get_origin(hint) is Mapping:
        return "table of strings, numbers and true"
    return " or ".join(
        arg.__name__ for arg in typing.get_args(hint) or (hint,) if arg is not type(None)
    )


def parameters(options: Options, name: str, threads: int) -> dict[str, Any]:
    """The options as parameters of submitit.SlurmExecutor, for jobs called `name`."""
    cpus = options.cpus or threads
    optional = {
        "partition": options.partition,
        "gpus_per_node": options.gpus or None,
        "gres": options.gres,
        "mem": options.memory,
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
    }
    return {
        **{key: value for key, value in optional.items() if value is not None},
        "job_name": name,
        "time": options.time_minutes,
        "cpus_per_task": cpus,
        "srun_args": [f"--cpus-per-task={cpus}"],  # since 22.05 srun does not take it from sbatch
        "array_parallelism": options.max_queued,
        "signal_delay_s": options.signal_seconds,
        "setup": [
            f"export PYTHONPATH={shlex.quote(str(CHECKOUT))}${{PYTHONPATH:+:$PYTHONPATH}}",
            *options.setup,
        ],
        "additional_parameters": {"requeue": True, **options.extra},
    }
