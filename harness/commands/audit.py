"""`audit`: what published claims are worth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.commands import options as shared

HELP = "what published claims are worth"
PUBLISHED = shared.ROOT / "results" / "published"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("--paper", metavar="WHICH", help="an arXiv number or words of the title")
    parser.add_argument(
        "--claims", type=Path, metavar="FILE", help="your own claims, CSV or BibTeX"
    )
    parser.add_argument("--format", choices=("markdown", "csv", "json"), default="markdown")
    shared.add_one_study(parser, "whose records are the evidence")
    shared.add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Print the findings about the claims in results/published and those of --claims."""
    from harness.audit import audit, claims, evidence, findings, settings, statements

    rows = claims.read(PUBLISHED / "claims.csv")
    if options.claims is not None:
        rows += claims.read(options.claims, known=rows)
    facts = settings.read_facts(PUBLISHED / "code_facts.csv")
    facts += settings.read_unfair(PUBLISHED / "unfair_comparisons.csv")
    result = audit.findings(
        rows,
        statements.read(PUBLISHED / "statements.json"),
        evidence.read(options.results, options.study),
        options.paper,
        facts,
        settings.read_effects(PUBLISHED / "known_effects.csv"),
    )
    form = {"markdown": findings.to_markdown, "csv": findings.to_csv, "json": findings.to_json}
    sys.stdout.write(form[options.format](result))
