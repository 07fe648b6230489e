"""`check`: are records complete, unmixed and what the study gives? Without training anything."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared
from harness.commands import selection

if TYPE_CHECKING:
    from harness.commands.findings import Finding

HELP = "check that records are complete, unmixed and what the study gives"
EPILOG = """\
Nothing is trained: keys, seeds, proposals, params and epochs are computed again from the study and
the earlier records. Scores are only compared with themselves; `verify` trains them again.
Exit codes: 0 nothing is wrong, 1 something is, 2 there is nothing to check."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "names",
        nargs="*",
        default=(),
        metavar="RESULTS or STUDY/DATASET",
        help="folders of results, or studies on datasets in --results (default: all in --results)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    selection.add_folders(parser)
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print what is wrong with the records, each with what to do; exit 1 if anything is."""
    from harness.commands import findings
    from harness.schema import Problem

    if options.study is None and options.dataset is None:
        folders = folders_named(options.results, options.names)
    elif options.names:
        raise Problem(f"{' '.join(options.names)} beside --study or --dataset: give one of them")
    else:
        folders = selection.folders_of(options)
    checked = [findings.check(where) for where in folders]
    wrong = [finding for one in checked for finding in one.findings]
    counts = {
        "folders": len(folders),
        "records": sum(one.n_records for one in checked),
        "without_digest": sum(one.without_digest for one in checked),
    }
    if options.json:
        print(json.dumps({"event": "check", **counts, "findings": [asdict(one) for one in wrong]}))
    else:
        print("\n".join(lines(wrong, **counts)))
    if wrong:
        sys.exit(1)


def folders_named(results: Path, names: Sequence[str]) -> list[Path]:
    """The folders of a study on a dataset that names mean; Problem where one means none."""
    from harness.records import folder
    from harness.schema import Problem

    folders: dict[Path, None] = {}
    for name in names or [str(results)]:
        study, _, dataset = name.partition("/")
        by_name = folder.folder_of(results, study, dataset) if dataset else Path(name)
        path = Path(name)
        matching = [where for where in (by_name, path) if (where / "study.json").exists()][:1]
        files = (
            file
            for kind in ("study.json", "*.jsonl", "*.jsonl.xz")
            for file in path.glob(f"*/*/{kind}")
        )
        matching = matching or sorted({file.parent for file in files})  # with or without study.json
        if not matching:
            raise Problem(
                f"no records {name!r}; give a folder of results, or STUDY/DATASET in {results}; "
                "`python -m harness status` lists what there is"
            )
        # a path from within RESULTS lacks the names of the study and of RESULTS
        folders |= dict.fromkeys(
            where if len(where.parts) > 2 else where.absolute() for where in matching
        )
    return list(folders)


def lines(
    findings: Sequence[Finding], *, folders: int, records: int, without_digest: int
) -> list[str]:
    """The findings as text, and what was checked."""
    text = []
    for finding in findings:
        text.append(f"{finding.address}: {finding.kind.upper()}: {finding.what}")
        text.append(f"  -> {finding.advice}")
    verdict = f"{len(findings)} findings" if findings else "nothing is wrong"
    summary = f"{records} records in {folders} folders checked: {verdict}"
    if without_digest:
        summary += f" ({without_digest} older records have no digest of their content)"
    return [*text, summary + "; scores were not trained again, `verify` does that"]
