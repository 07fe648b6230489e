"""Names in, one call out: the only place that prints a result or exits."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from harness import commands, compare_command, launch, table_command

STUDY_EPILOGUE = """\
Stop it at any time: the same command carries on where it was. Records lie in
RESULTS/STUDY/DATASET/LOSS.jsonl, one line per run."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exit 0, 2 for a user's mistake, 130 or 143 when stopped."""
    options = _parser().parse_args(argv)
    from harness.schema import Problem

    try:
        options.command(options)
    except Problem as problem:
        print(f"harness: {' '.join(str(problem).split())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness",
        description="Trained fairly, is this deep-metric-learning loss better than that one?",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    study = verbs.add_parser(
        "study",
        help="search, retrain and score losses on a dataset, to the table",
        description="Search, retrain and score losses on a dataset, to the table.",
        epilog=STUDY_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    study.set_defaults(command=launch.study)
    study.add_argument(
        "--loss", nargs="+", metavar="NAME", help="losses, or all (default: the study's own)"
    )
    study.add_argument("--dataset", nargs="+", metavar="NAME", help="datasets, or folder:PATH")
    study.add_argument(
        "--study",
        default="appendix_d",
        metavar="NAME",
        help="a file in studies/ (default: %(default)s)",
    )
    study.add_argument("--trials", type=_count, metavar="N", help="trials of the search")
    study.add_argument("--repeats", type=_count, metavar="N", help="runs of the best configuration")
    study.add_argument(
        "--search-repeats", type=_count, metavar="N",
        help="the whole search N times with other seeds (default: 1), to see its own spread",
    )  # fmt: skip
    study.add_argument("--weights", metavar="FILE", help="imagenet, none, or a state_dict file")
    study.add_argument(
        "--device", default="auto", help="cpu, cuda, cuda:1 (default: cuda if there)"
    )
    study.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="runs side by side (default: a core each; 1 on a GPU)",
    )
    study.add_argument(
        "--threads", type=_count, default=1, metavar="N", help="CPU threads a run (default: 1)"
    )
    study.add_argument(
        "--engine", choices=("local", "slurm", "ray"), default="local",
        help="where runs execute (default: worker processes here)",
    )  # fmt: skip
    study.add_argument(
        "--devices", type=lambda text: text.split(","), metavar="0,1", help="GPUs of --engine local"
    )
    study.add_argument(
        "--slots-per-gpu", type=_count, metavar="N", help="runs that share a GPU (default: 1)"
    )
    study.add_argument(
        "--slurm", type=Path, metavar="FILE", help="TOML file: partition, time_minutes, gres, ..."
    )
    study.add_argument(
        "--ray-address", metavar="HOST:PORT", help="a running Ray cluster (default: start one)"
    )
    study.add_argument(
        "--gpus-per-run", type=float, metavar="SHARE", help="of --engine ray; 0.25: four share one"
    )
    study.add_argument("--quiet", action="store_true", help="no progress, only the table")
    study.add_argument("--json", action="store_true", help="one JSON object a line, the table last")
    table = verbs.add_parser("table", help="compare losses on a dataset from their records")
    table.set_defaults(command=table_command.table)
    table.add_argument("--format", choices=("markdown", "latex", "csv"), default="markdown")
    table.add_argument("--json", action="store_true", help="the table as one JSON object")
    table.add_argument(
        "--uncertainty", action="store_true",
        help="instead: intervals over repeats, over test classes, over both (bootstrap)",
    )  # fmt: skip
    table.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw it too (.png, .pdf or .svg)"
    )
    compare = verbs.add_parser("compare", help="losses two by two, and ranked over datasets")
    compare.set_defaults(command=compare_command.compare)
    compare.add_argument(
        "--category", default="complete", metavar="NAME",
        help="complete, ensemble or aggregate (default: %(default)s)",
    )  # fmt: skip
    compare.add_argument(
        "--metric", default="map_at_r", metavar="NAME",
        help="map_at_r, r_precision or precision_at_1 (default: %(default)s)",
    )  # fmt: skip
    compare.add_argument(
        "--difference", type=_points, default=1.0, metavar="POINTS",
        help="how many repeats would a difference of this size need (default: %(default)s)",
    )  # fmt: skip
    compare.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    compare.add_argument(
        "--figure", type=Path, metavar="FILE",
        help="draw the critical-difference diagram (.png, .pdf or .svg)",
    )  # fmt: skip
    status = verbs.add_parser("status", help="how far studies are, from any terminal")
    status.set_defaults(command=commands.status)
    status.add_argument("--json", action="store_true", help="one JSON object")
    export = verbs.add_parser("export", help="write the searches as Optuna studies")
    export.set_defaults(command=commands.export)
    export.add_argument(
        "--optuna", required=True, metavar="URL", help="sqlite:///study.db, postgresql://..."
    )
    for reader in (table, compare, status, export):
        reader.add_argument("--dataset", metavar="NAME", help="a dataset (default: every one)")
        reader.add_argument("--study", metavar="NAME", help="a study (default: every one)")
        reader.add_argument("--loss", nargs="+", metavar="NAME", help="losses (default: all there)")
    losses = verbs.add_parser("losses", help="the losses there are, or everything about one")
    losses.set_defaults(command=commands.losses)
    losses.add_argument("name", nargs="?", metavar="NAME", help="a loss (default: list them all)")
    losses.add_argument("--json", action="store_true", help="a JSON list")
    data = verbs.add_parser("data", help="list, fetch, verify or cache datasets")
    data.set_defaults(command=commands.data)
    data.add_argument("action", choices=("list", "fetch", "verify", "cache"))
    data.add_argument("name", nargs="?", metavar="NAME", help="a dataset, or folder:PATH")
    data.add_argument(
        "--resize", type=_count, default=256, metavar="PX", help="shorter side in the cache"
    )
    audit = verbs.add_parser("audit", help="what published claims are worth")
    audit.set_defaults(command=commands.audit)
    audit.add_argument("--paper", metavar="WHICH", help="an arXiv number or words of the title")
    audit.add_argument("--claims", type=Path, metavar="FILE", help="your own claims, CSV or BibTeX")
    audit.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    audit.add_argument(
        "--study", default="appendix_d", metavar="NAME",
        help="whose records are the evidence (default: %(default)s)",
    )  # fmt: skip
    verify = verbs.add_parser("verify", help="retrain what is behind a number and compare")
    verify.set_defaults(command=commands.verify)
    verify.add_argument(
        "name", metavar="STUDY/DATASET[/LOSS[/KEY]]", help="a record, a row or a whole table"
    )
    verify.add_argument("--device", default="auto", help="cpu, cuda, ... (default: cuda if there)")
    verify.add_argument("--threads", type=_count, default=1, metavar="N", help="CPU threads a run")
    bench = verbs.add_parser("bench", help="this machine's speed, beside what one writes by hand")
    bench.set_defaults(command=commands.bench)
    bench.add_argument(
        "--only", nargs="+", default=[], metavar="NAME",
        help="pipeline, step, embedding, metrics, search, orchestration, study, table, help",
    )  # fmt: skip
    bench.add_argument(
        "--rounds", type=_count, default=5, metavar="N", help="rounds (default: %(default)s)"
    )
    bench.add_argument("--device", default="auto", help="cpu, cuda, ... (default: cuda if there)")
    bench.add_argument("--json", action="store_true", help="every measured value, as one object")
    bench.add_argument(
        "--engines", action="store_true",
        help="instead: what engines cost, and a simulated full check on 1 to 512 devices",
    )  # fmt: skip
    bench.add_argument(
        "--runs", type=_count, default=200, metavar="N", help="with --engines: runs per engine"
    )
    bench.add_argument(
        "--images-per-second", type=_rate, default=400.0, metavar="X",
        help="with --engines: that a simulated device trains (default: %(default)s)",
    )  # fmt: skip
    bench.add_argument(
        "--study", default="appendix_d", metavar="NAME", help="with --engines: what is simulated"
    )
    bench.add_argument("--slurm", type=Path, metavar="FILE", help="TOML file, to measure Slurm too")
    bench.add_argument("--ray-address", metavar="HOST:PORT", help="a running Ray cluster")
    for any_of_them in (study, table, compare, status, export, audit, verify, bench):
        any_of_them.add_argument(
            "--results", type=Path, default=Path("results"), metavar="DIR",
            help="folder of the records (default: %(default)s)",
        )  # fmt: skip
    for any_of_them in (study, data, verify):
        any_of_them.add_argument(
        "--data", type=Path, default=Path(os.environ.get("HARNESS_DATA", "data")), metavar="DIR",
        help="folder of the datasets and caches (default: $HARNESS_DATA or data)",
    )  # fmt: skip
    return parser


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a count of 1 or more")
    return number


def _points(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not a difference between 0 and 100 points")
    return number
