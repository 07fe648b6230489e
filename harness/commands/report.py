"""`report`: a page of answers, tables and figures from records, in one file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared
from harness.commands import selection, unused

if TYPE_CHECKING:
    from harness.protocol.search import Space
    from harness.report.sources import Source
    from harness.schema import Study

HELP = "write a page of answers, tables and figures from records: one HTML file, no network"
EPILOG = "The page opens from disk, so it can be sent to a co-author as it is."


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add(
        "targets",
        nargs="*",
        default=(),
        metavar="STUDY/DATASET",
        help="what the page shows (default: all with records)",
    )
    add(
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="the page (default: %(default)s)",
    )
    add(
        "--figures",
        type=shared.folder_path,
        metavar="FOLDER",
        help="also write every figure as .svg, .png and .pdf, for a paper",
    )
    add(
        "--watch",
        action="store_true",
        help="serve the page on 127.0.0.1 instead, made again whenever records are added",
    )
    shared.add_port(parser)
    add(
        "--protocol",
        metavar="STUDY",
        help="instead: draw what a study in studies/ does with each loss, to --output FILE (.png, "
        ".pdf or .svg); needs no records",
    )
    add(
        "--findings",
        type=Path,
        metavar="FILE",
        help="also show what `audit --json > FILE` found about these losses",
    )
    add("--loss", nargs="+", action="extend", metavar="NAME", help="losses (default: all)")
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Write the page, and the figures where they are wanted; or serve it."""
    from harness import files
    from harness.report import page
    from harness.schema import Problem

    if options.protocol is not None:
        _draw_protocol(options)
        return
    if options.output.suffix not in (".html", ".htm"):
        raise Problem(f"--output {options.output}: the name must end in .html")
    if options.watch:
        writes = "is written, and --watch serves the page instead"
        unused.refuse(options, add_options, dict.fromkeys(("--figures", "--output"), writes))
        _watch(options)
        return
    unused.refuse(options, add_options, {"--port": "says where --watch serves; give both"})
    audited = _audited(options.findings)
    text = page.html(_sources(options), figures=options.figures, audited=audited)
    files.write_text(options.output, text)
    print(f"{options.output}: {len(text.encode()) / 1e6:.1f} MB, open it in a browser")
    if options.figures is not None:
        print(f"{options.figures}: every figure as .svg, .png and .pdf")


def _audited(path: Path | None) -> list[dict[str, Any]]:
    """The findings of --findings; Problem where the file is not there or not of the audit."""
    from harness.report import findings
    from harness.schema import Problem

    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"--findings {path} cannot be read: {error}") from None
    return findings.read(text, f"--findings {path}")


def _draw_protocol(options: argparse.Namespace) -> None:
    """Draw what the study of --protocol does."""
    from harness.commands import study_files
    from harness.report import protocol
    from harness.schema import Problem
    from harness.tables import figure

    flags = ("--watch", "--port", "--figures", "--findings", "--loss", "--results")
    without = f"is of records, and --protocol {options.protocol} draws a study without any"
    unused.refuse(options, add_options, dict.fromkeys(flags, without))
    if options.targets:
        raise Problem(f"{options.targets[0]} {without}")
    if options.output.suffix not in shared.FIGURE_SUFFIXES:
        raise Problem(
            f"--output {options.output}: with --protocol it must end in .png, .pdf or .svg"
        )
    figure.save(protocol.figure(study_files.load_study(options.protocol)), options.output)
    print(f"{options.output}: what the study {options.protocol} does")


def _sources(options: argparse.Namespace) -> list[Source]:
    return [
        source_of(where, options.loss, options.results)
        for where in folders_of(options.results, options.targets)
    ]


def _watch(options: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    from harness.commands import page_server
    from harness.report import page

    page_server.serve(
        lambda: page.html(_sources(options), audited=_audited(options.findings), refresh=True),
        lambda: page_server.version_of(folders_of(options.results, options.targets)),
        port=options.port,
        say=lambda line: print(line, flush=True),
    )


def folders_of(results: Path, targets: Sequence[str]) -> list[Path]:
    """The results folders of STUDY/DATASET names, each once; of all records without names."""
    from harness.records import folder
    from harness.schema import Problem

    known = selection.folders_in(results)
    if not known:
        raise Problem(
            f"no records in {results}; run `python -m harness study` first, or give another folder "
            "with --results"
        )
    chosen = []
    for target in targets:
        study, _, dataset = target.partition("/")
        where = folder.folder_of(results, study, dataset) if study and dataset else None
        if where not in known:
            addresses = [f"{path.parent.name}/{path.name}" for path in known]
            shared.known("STUDY/DATASET", target, addresses)
            where = known[addresses.index(target)]
        chosen.append(where)
    return list(dict.fromkeys(chosen)) if targets else known


def source_of(where: Path, losses: Sequence[str] | None, results: Path) -> Source:
    """The records of a results folder, as a page takes them."""
    from harness.commands import reading
    from harness.report.sources import Source

    records = reading.read_records(where, losses, curves=True)
    return Source(
        address=f"{where.parent.name}/{where.name}",
        results=str(results),
        study=records.study,
        dataset=records.dataset,
        records=records.by_loss,
        notes=records.notes,
        spaces=_spaces(records.study, list(records.by_loss)),
        galleries=_galleries(where, list(records.by_loss)),
    )


def _galleries(where: Path, losses: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What `gallery --keep` left beside the records; Problem where a file of it is not whole."""
    from harness.schema import Problem
    from harness.tables import gallery

    galleries = {}
    for loss in losses:
        path = gallery.kept_path(where, loss)
        if not path.exists():
            continue
        try:
            galleries[loss] = json.loads(path.read_text(encoding="utf-8"))
            missing = [name for name in gallery.KEPT if name not in galleries[loss]]
            if missing:
                raise ValueError(missing)
        except (ValueError, TypeError):
            raise Problem(
                f"{path} is not what gallery --keep writes; remove it, or write it again"
            ) from None
    return galleries


def _spaces(study: Study, losses: Sequence[str]) -> dict[str, Space]:
    """The search spaces of the losses whose files are there and whose space can be known."""
    from harness.schema import BASELINES, Problem
    from harness.training import search_space

    spaces = {}
    for loss in losses:
        if loss in BASELINES or not study.searches:
            continue
        try:
            spaces[loss] = search_space.of_loss(study, loss)
        except (ModuleNotFoundError, Problem):
            continue  # the page says that its importances cannot be computed
    return spaces
