"""`study`: search, retrain and score losses on datasets, and print the tables."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from harness.commands import demonstrations, engine_options, shortfalls, study_files
from harness.commands import options as shared
from harness.commands.signals import StopSignals
from harness.commands.table import page_of, print_page

if TYPE_CHECKING:
    from harness.engines.conductor import Engine
    from harness.engines.execute import Places
    from harness.schema import Study

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

Studies: appendix_d is the published protocol; demo and smoke are small; mlrc follows Musgrave et
al. 2020; fast races the folds (a trial behind the best one by more than two standard errors is not
trained on its other folds) and computes in bf16 where the device can; optimism measures what
choosing on test classes is worth. function_ablation, warp_impact, batch_size and nir repeat
experiments of papers with fixed configurations, and judge what these found. landscapes shows where
losses are lowest, without data and without training. CONTRIBUTING.md says how to add one.

Diagnostics: nmi, ami, f1 (k-means with as many clusters as test classes), overclustering (purity
of three times as many), verification_accuracy (of pairs, 10-fold), d_prime, uniformity, alignment,
spectral_decay, density_ratio, class_size_spread, avg_dtp (mean distance of training images to their
proxies; only losses with one proxy a class have it). They change no run and choose nothing. A run
that was recorded without one lacks it. `table --metrics nmi uniformity` shows them. k-means needs
faiss (python -m pip install faiss-cpu).

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
    add(
        "--loss",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="losses or variants of the study, or all (default: the losses of the study)",
    )
    add(
        "--dataset",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="datasets, or your own: folder:PATH, table:FILE, features:FILE, hf:NAME (default: "
        "those of the study)",
    )
    shared.add_one_study(parser, "a file in studies/")
    add("--trials", type=shared.count, metavar="N", help="trials of the search")
    add("--repeats", type=shared.count, metavar="N", help="final repeats of the best trial")
    add(
        "--search-repeats",
        type=shared.count,
        metavar="N",
        help="whole searches with different seeds, to measure their spread (default: 1)",
    )
    add(
        "--diagnostics",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="of the final runs' test embeddings, beside the scores: see below (default: those of "
        "the study)",
    )
    add("--trunk", metavar="NAME", help="convnet, resnet50, ..., timm:NAME or torchvision:NAME")
    add("--weights", metavar="FILE", help="imagenet, pretrained, none, or a file of weights")
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
        help="set the records of these losses aside (in set_aside/ beside them), and start again",
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
        help="first copy the records of this study that RESULTS lacks from another such folder",
    )
    add("--quiet", action="store_true", help="no progress, only the tables")
    add("--figure", type=Path, metavar="FILE", help="also draw the table (.png, .pdf or .svg)")
    add("--json", action="store_true", help="one JSON object per line, the tables last")
    shared.add_reading(parser)
    shared.add_results(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Search, retrain and score, then print the tables."""
    from harness.data import missing
    from harness.schema import BASELINES, Demonstration, Problem

    declared = study_files.load(options.study)
    if isinstance(declared, Demonstration):
        demonstrations.run(declared, options)
        return
    study = _with_changes(declared, options)
    all_losses = [*shared.names_in("losses"), *study.variants, *BASELINES]
    losses = options.loss or list(study.losses)
    if losses == ["all"]:
        losses = all_losses
    for name in losses:
        shared.known("loss", name, all_losses)
    given = options.dataset or study.datasets
    dataset_names = list(dict.fromkeys(str(shared.reading(name, options)) for name in given))
    if not losses or not dataset_names:
        raise Problem("no loss or no dataset: give --loss NAME and --dataset NAME")
    if options.figure is not None:
        shared.check_figure_path(options.figure)
        if len(dataset_names) > 1:
            raise Problem("--figure draws one table; give one --dataset")
    study_files.check_trunk(options, dataset_names)
    missing.check(dataset_names, options.data.resolve())
    _conduct(options, study, list(dict.fromkeys(losses)), dataset_names)


def _with_changes(study: Study, options: argparse.Namespace) -> Study:
    """The study with the values that the command line gives, which hold for every dataset."""
    from harness.schema import DIAGNOSTICS

    changes: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("trials", "repeats", "search_repeats", "trunk", "weights")
        if getattr(options, name) is not None
    }
    if options.diagnostics is not None:
        for name in options.diagnostics:
            shared.known("diagnostic", name, list(DIAGNOSTICS))
        changes["diagnostics"] = tuple(dict.fromkeys(options.diagnostics))
    per_dataset = {
        dataset: {name: value for name, value in fields.items() if name not in changes}
        for dataset, fields in study.per_dataset.items()
    }
    return replace(study, **changes, per_dataset=per_dataset)


def carry_over(source: Path, results: Path, study: Study, dataset: str) -> str:
    """Copy the records of a study on a dataset that `results` lacks; the line that says so."""
    from harness.records import folder, packed
    from harness.schema import Problem

    there, here = (folder.folder_of(root, study.name, dataset) for root in (source, results))
    if not packed.record_files(there):
        raise Problem(f"--resume-from {source}: there are no records in {there}; give RESULTS")
    losses = packed.carry_over(there, here)
    return f"{dataset}: records of {', '.join(losses) or 'no loss'} copied from {there}"


def _conduct(
    options: argparse.Namespace, study: Study, losses: list[str], datasets: list[str]
) -> None:
    """Execute every run that is not done yet, then print the tables.

    Exits with 130 after Ctrl-C and 143 after SIGTERM, once the engine is closed.
    """
    import torch
    from rich.console import Console

    from harness.commands.watch import Watch
    from harness.data import named_options
    from harness.engines import conductor
    from harness.engines.execute import Places
    from harness.records import folder
    from harness.training.computable import computable

    # A cluster's nodes may have devices that this machine lacks; its engine checks them there.
    is_local = options.engine == "local"
    device = shared.device_named(options.device) if is_local else options.device
    console = Console(stderr=not options.json)
    folder.create(options.results)
    places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
    signal.signal(signal.SIGTERM, _interrupt)  # before runs start, StopSignals from then on
    engine: Engine | None = None
    of_images = [r.name for r in map(named_options.read, datasets) if r.kind != "features"]
    try:
        with Watch(console, places.results, quiet=options.quiet, as_json=options.json) as watch:
            study, lines = computable(study, of_images, torch.device(device) if is_local else None)
            for line in lines:
                watch("line", line)
            for name in datasets if options.resume_from is not None else ():
                watch("line", carry_over(options.resume_from, options.results, study, name))
            jobs = conductor.prepare(
                study,
                datasets,
                losses,
                results=places.results,
                data_root=places.data,
                notify=watch,
                provenance=_provenance(places, is_local=is_local),
                fresh=options.fresh,
            )
            for job in jobs if options.retry_failed else ():
                watch("line", job.set_failures_aside() or f"{job.loss}: no failures to retry")
            engine = engine_options.open_engine(options, places)
            with StopSignals() as signals:
                complete = conductor.conduct(jobs, engine, watch, stopping=signals.received)
        if not complete:
            raise KeyboardInterrupt(signals.exit_code)
    except KeyboardInterrupt as interrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # closing the engine must not be interrupted
        code = interrupt.args[0] if interrupt.args else 130
        same = "the same command without --fresh" if options.fresh else "the same command"
        print(f"harness: stopped; {same} carries on where it was", file=sys.stderr)
        sys.exit(code)
    finally:
        if engine is not None:
            engine.close()
    for where in dict.fromkeys(job.path.parent for job in jobs):
        page = page_of(where, None)
        print_page(page, "markdown", as_json=options.json)
        if options.figure is not None:
            page.draw(options.figure)
    shortfalls.check(jobs)


def _provenance(places: Places, *, is_local: bool) -> dict[str, object]:
    """What records will say of where they were made; of a cluster's nodes only what it is given."""
    from harness.records.provenance import package_versions

    threads: dict[str, object] = {"threads": places.threads}
    if not is_local:
        return threads
    return {**threads, "device": places.device, "versions": package_versions()}


def _interrupt(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(128 + number)
