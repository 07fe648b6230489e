"""`study`: search, retrain and score losses on datasets, and print the tables."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.commands import (
    demonstrations,
    engine_options,
    own_losses,
    resume_from,
    shortfalls,
    study_choice,
    study_files,
    tracking,
)
from harness.commands import options as shared
from harness.commands.signals import StopSignals
from harness.commands.table import show

if TYPE_CHECKING:
    from harness.commands.study_choice import Choice
    from harness.engines.conductor import Notify
    from harness.engines.execute import Places
    from harness.engines.jobs import Job

HELP = "search, retrain and score losses, and print the tables"
EPILOG = """\
Where things lie: records in RESULTS/STUDY/DATASET/LOSS.jsonl, one line per run. Tables, the best
trial and what is left to do are derived from those lines. Datasets and decoded images in DATA.

Stopping: Ctrl-C once (or SIGTERM, for at most a minute): runs in flight finish their epoch and keep
a checkpoint. Twice: at once. The same command carries on either way, to the same records.

Devices: a GPU is used if there is one. --devices 0,1 --slots-per-gpu 2 starts worker processes, one
per slot. Several losses and datasets share the slots.

Failures: a run that raises the same exception twice, or crashes its worker twice at the same place,
is a failure record. One whose worker is killed from outside goes on from its checkpoint, after a
pause, or at the next start. --retry-failed redoes failures with all that followed from them.

A cluster: --engine slurm --slurm cluster.toml submits runs as job arrays from a login node (python
-m pip install submitit); --engine ray --ray-address HOST:PORT uses a Ray cluster (python -m pip
install ray). The results folder must lie where all nodes see it. A cluster.toml:
  partition = "gpu"
  time_minutes = 240
  gpus = 1
  memory = "16GB"
  max_queued = 32
  setup = ["module load cuda"]
`bench --engines` simulates a full check on 1 to 512 devices.

Many devices: a search trains parallel_trials x folds runs at once, and those of all losses and
datasets side by side. So for D devices set parallel_trials, in a study's file, to
D / (losses x datasets x folds), rounded up, and to no more than 4: `bench --batches` measures what
proposing more at once costs the search, on landscapes like those of recorded trials.

Studies: appendix_d is the published protocol; demo and smoke are small; mlrc follows Musgrave et
al. 2020; fast races the folds (a trial behind the best one by more than two standard errors is not
trained on its other folds) and computes in bf16 where the device can; optimism measures what
choosing on test classes is worth. function_ablation, warp_impact, batch_size, nir and imbalance
repeat experiments of papers with fixed configurations, and judge what these found. landscapes shows
where losses are lowest, without data and without training. `python -m harness studies` lists all,
CONTRIBUTING.md says how to add one.

Diagnostics: nmi, ami, f1 (k-means with as many clusters as test classes), overclustering (purity
of three times as many), verification_accuracy (of pairs, 10-fold), d_prime, uniformity, alignment,
spectral_decay, density_ratio, class_size_spread, avg_dtp (mean distance of training images to their
proxies; only losses with one proxy a class have it), map_at_r_many, map_at_r_medium, map_at_r_few
(within training classes, by thirds, in a study with class_images). They change no run and choose
nothing. A run that was recorded without one lacks it. `table --metrics nmi uniformity` shows them.
k-means needs faiss (python -m pip install faiss-cpu).

Trackers: --log tensorboard wandb mlflow (each python -m pip install NAME; mlflow-skinny will do)
writes a run for every record, with its curve, params and scores, in RESULTS/logs, or where the
variables of W&B and MLflow say. Records from before are written too, none twice. W&B works offline
unless WANDB_MODE=online. What cannot be written is said, and does not stop the study.

Trunks: --trunk efficientnet_lite0 needs no download; timm:NAME (python -m pip install timm) and
torchvision:NAME are fed and, where the study's pooling is "trunk", pooled as their authors do.
Their published weights are --weights pretrained where they are not ImageNet's.

Weights: ImageNet's are fetched with a checksum; --weights FILE takes a state_dict of torch or
safetensors, alone or in a checkpoint; --weights none trains from scratch. Tables say which, and the
precision: fp32 unless the study says otherwise.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    study_choice.add(parser)
    shared.add_device(parser)
    add(
        "--workers",
        type=shared.count,
        metavar="N",
        help="runs side by side (default: one per CPU core; 1 on a GPU)",
    )
    shared.add_threads(parser)
    engine_options.add(parser)
    add(
        "--fresh",
        action="store_true",
        help="set the records of these losses aside (in set_aside/ beside them), and start again; "
        "those of all losses there where the study differs from theirs, or has fewer trials",
    )
    add(
        "--retry-failed",
        action="store_true",
        help="set failures aside with all that followed from them, and run these again",
    )
    add(
        "--resume-from",
        type=shared.folder_path,
        metavar="FOLDER",
        help="first copy the records of this study that RESULTS lacks from another such folder; "
        "those of a loss that has others here stay as they are, and a line says so",
    )
    add("--quiet", action="store_true", help="no progress, only the tables")
    add("--figure", type=Path, metavar="FILE", help="also draw the table (.png, .pdf or .svg)")
    add("--json", action="store_true", help="events, one JSON object a line: results/EVENTS.md")
    tracking.add(parser)
    shared.add_reading(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Search, retrain and score, then print the tables.

    Exits with 130 after Ctrl-C and 143 after SIGTERM, once the engine is closed.
    """
    from rich.console import Console

    from harness.commands.watch import Watch
    from harness.engines import conductor
    from harness.engines.execute import Places
    from harness.records import folder
    from harness.schema import Demonstration

    with own_losses.linked(options.loss or []) as accepted:
        declared = study_files.load(options.study)
        if isinstance(declared, Demonstration):
            demonstrations.run(declared, options)
            return
        choice = study_choice.of_options(declared, options)
        # A cluster's nodes may have devices that this machine lacks; its engine checks them there.
        device = shared.device_named(options.device) if _is_local(options) else options.device
        engine_options.check(options)
        folder.create(options.results)
        places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
        console = Console(stderr=not options.json)
        options.stage = "checking"
        with _in_order(options) as engines:
            with Watch(console, places.results, quiet=options.quiet, as_json=options.json) as watch:
                trackings = tracking.open_all(options.log, places.results, watch.say)
                jobs = prepare(choice, options, places, watch)
                options.stage = "prepared"
                for one in trackings:
                    engines.enter_context(one)
                engine = engine_options.open_engine(options, places)
                engines.callback(engine.close)
                notify = tracking.to_all([watch, *trackings])
                accepted(watch.say)
                with StopSignals() as signals:
                    complete = conductor.conduct(jobs, engine, notify, stopping=signals.received)
                if not complete:
                    raise KeyboardInterrupt(signals.exit_code)
            options.stage = "complete"
            for where in dict.fromkeys(job.path.parent for job in jobs):
                show(where, None, as_json=options.json, figure=options.figure)
            for one in trackings:  # after the tables, for a server may not answer
                one.finish()
        shortfalls.check(jobs)


@contextlib.contextmanager
def _in_order(options: argparse.Namespace) -> Iterator[contextlib.ExitStack]:
    """End the command with one line and 130 or 143 where Ctrl-C or SIGTERM interrupts it inside.

    What is put in the stack is closed in any case, and no further Ctrl-C interrupts that.
    """
    signal.signal(signal.SIGTERM, _interrupt)  # before runs start, StopSignals from then on
    with contextlib.ExitStack() as stack:
        try:
            yield stack
        except KeyboardInterrupt as interrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            print(f"harness: stopped; {_advice(options)}", file=sys.stderr)
            sys.exit(interrupt.args[0] if interrupt.args else 130)
        except BrokenPipeError:  # whoever read what it prints, --json for one, has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            print(
                "harness: stopped, for nothing reads its output any more; the same command carries "
                "on where it was",
                file=sys.stderr,
            )
            sys.exit(128 + signal.SIGPIPE)


def _advice(options: argparse.Namespace) -> str:
    """What to do after a stop: `options.stage` says how far the command was."""
    if options.stage == "complete":
        return "the study is complete, what --log still had to write is not; the same command does"
    if not options.fresh:
        return "the same command carries on where it was"
    if options.stage == "prepared":
        return "the same command without --fresh carries on where it was"
    return "it had not begun anew; the same command, with --fresh, does"


def _interrupt(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(128 + number)


def _is_local(options: argparse.Namespace) -> bool:
    return bool(options.engine == "local")


def prepare(
    choice: Choice, options: argparse.Namespace, places: Places, notify: Notify
) -> list[Job]:
    """The jobs of the study, after everything that comes before their first run."""
    import torch

    from harness.data import named_options
    from harness.engines import conductor
    from harness.training.computable import computable

    of_images = [r.name for r in map(named_options.read, choice.datasets) if r.kind != "features"]
    device = torch.device(places.device) if _is_local(options) else None
    study, lines = computable(choice.study, of_images, device)
    for line in lines:
        notify("line", line)
    if options.resume_from is not None:
        resume_from.copy(
            options.resume_from,
            options.results,
            study,
            choice,
            data_root=places.data,
            say=partial(notify, "line"),
        )
    jobs = conductor.prepare(
        study,
        choice.datasets,
        choice.losses,
        results=places.results,
        data_root=places.data,
        notify=notify,
        provenance=_provenance(places, is_local=_is_local(options)),
        fresh=options.fresh,
        counts_given=choice.counts_given,
    )
    for job in jobs:
        job.retries_failed = options.retry_failed
    return jobs


def _provenance(places: Places, *, is_local: bool) -> dict[str, object]:
    """What records will say of where they were made; of a cluster's nodes only what it is given."""
    from harness.records.provenance import package_versions

    threads: dict[str, object] = {"threads": places.threads}
    if not is_local:
        return threads
    return {**threads, "device": places.device, "versions": package_versions()}
