"""`audit`: check what published claims are worth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.commands import options as shared
from harness.commands import terminal
from harness.files import CHECKOUT

HELP = "check what published claims are worth"
STUDY = "appendix_d"  # the default, of which there need be no records
PUBLISHED = CHECKOUT / "results" / "published"
EPILOG = (
    "With --claims or --statements only those are audited, beside the published ones.\n"
    "Exit code 1 if rows were left out, because they could not be read; the report lists them."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--paper", metavar="WHICH", help="an arXiv number or words of the title")
    parser.add_argument(
        "--claims", type=Path, metavar="FILE", help="your own claims, CSV or BibTeX"
    )
    parser.add_argument(
        "--statements", type=Path, metavar="FILE", help="what is said of them, JSON"
    )
    parser.add_argument(
        "--format",
        choices=("markdown", "csv", "json"),
        help="default: markdown; on a terminal what is wrong, on one screen",
    )
    shared.add_json(parser)
    shared.add_one_study(parser, "whose records are the evidence")
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print the findings about the claims in results/published, or about those of --claims."""
    import shutil

    from harness.audit import audit, claims_file, evidence, findings, report, screen, settings
    from harness.audit import statements as statements_file
    from harness.schema import Problem

    where = options.results / options.study
    if options.study != STUDY and not where.is_dir():
        raise Problem(f"no records in {where}; give --study NAME and --results DIR that hold some")
    published = claims_file.read(PUBLISHED / "claims.csv")
    statements = statements_file.read(PUBLISHED / "statements.json")
    yours = claims_file.Claims([], [])
    if options.claims is not None:
        yours = claims_file.read(options.claims)
    your_statements = statements_file.Statements([], [])
    if options.statements is not None:
        taken = [statement.statement_id for statement in statements.statements]
        your_statements = statements_file.read(options.statements, taken)
    left_out = [*yours.left_out, *your_statements.left_out]
    claims, replaced = claims_file.merged(published.claims, yours.claims)
    all_statements = [*statements.statements, *your_statements.statements]
    subjects = None
    if options.paper is not None:
        subjects = audit.subjects_of_paper(options.paper, claims, all_statements)
    elif options.claims is not None or options.statements is not None:
        titles = {claim.paper for claim in yours.claims}
        subjects = audit.subjects_of_titles(titles, yours.claims, statements.statements)
        subjects |= {statement.statement_id for statement in your_statements.statements}
    facts = settings.read_facts(PUBLISHED / "code_facts.csv")
    facts += settings.read_unfair_comparisons(PUBLISHED / "unfair_comparisons.csv")
    result = findings.of_left_out([*published.left_out, *statements.left_out, *left_out])
    result += audit.findings(
        claims,
        all_statements,
        evidence.read(options.results, options.study, shared.warn),
        subjects=subjects,
        published=published.claims,
        replaced=replaced,
        facts=facts,
        effects=settings.read_effects(PUBLISHED / "known_effects.csv"),
    )
    if options.format is None and terminal.is_terminal():
        size = shutil.get_terminal_size()
        print("\n".join(screen.lines(result, width=size.columns, height=size.lines)))
    else:
        writers = {"markdown": report.to_markdown, "csv": findings.to_csv, "json": findings.to_json}
        sys.stdout.write(writers[options.format or "markdown"](result))
    if left_out:
        sys.stdout.flush()
        rows = "1 row was" if len(left_out) == 1 else f"{len(left_out)} rows were"
        print(f"harness: {rows} left out:", file=sys.stderr)
        for row in left_out:
            print(f"  {row.place}: {' '.join(row.reason.split())}", file=sys.stderr)
        sys.exit(1)
