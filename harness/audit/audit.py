"""Claims, statements and our records to findings: what each published number and sentence is worth.

Pure: data in, findings out. `harness.claims`, `harness.statements` and `harness.conditions` read
the files; `harness.findings` writes markdown, CSV and JSON.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from harness.audit import (
    check_evidence,
    check_literature,
    check_paper,
    check_settings,
    check_statements,
    settings,
)
from harness.audit.check_evidence import Evidence, Key
from harness.audit.claims import Claim
from harness.audit.findings import Finding
from harness.audit.statements import Statement, pairs
from harness.schema import Problem


def findings(
    claims: Sequence[Claim],
    statements: Sequence[Statement],
    evidence: Mapping[Key, Evidence],
    paper: str | None = None,
    facts: Sequence[settings.Fact] = (),
    effects: Sequence[settings.Effect] = (),
) -> list[Finding]:
    """What the checks say of every claim and every statement, or of those of one `paper`.

    evidence: (loss, dataset, category, score name) -> our repeats. paper: an arXiv number, the
    first part of claim ids, or words of the title; a Problem says what is known if none matches.
    Every claim gets the checks "on paper" and "our evidence", and "comparability" if it stands
    beside its authors' own number; every statement gets four.
    """
    told = list(claims)
    said = list(statements)
    if paper is not None:
        title = of_paper(paper, claims, statements)
        told = [claim for claim in claims if claim.paper in title]
        said = [statement for statement in statements if statement.paper in title]
    worth = settings.effects(claims, effects)
    found = []
    for statement in said:
        compared = pairs(statement, claims)
        found += [
            check_statements.on_paper(statement, compared),
            check_statements.separable(statement, compared),
            check_settings.of_statement(statement, compared, worth, facts),
            check_evidence.of_statement(statement, compared, evidence),
        ]
    found += check_paper.on_paper(told)
    found += check_settings.of_claims(told, worth, facts)
    here = {claim.claim_id for claim in told}
    for agreed in check_literature.agreement(claims):
        if any(report["claim"] in here for report in agreed.numbers["reports"]):
            found.append(agreed)
    return found + [check_evidence.of_claim(claim, evidence) for claim in told]


def of_paper(paper: str, claims: Sequence[Claim], statements: Sequence[Statement]) -> set[str]:
    """The titles that `paper` names: by arXiv number, by the first part of a claim id, by words."""
    papers = [(c.paper, c.arxiv, c.claim_id) for c in claims]
    papers += [(s.paper, s.arxiv, s.statement_id) for s in statements]
    named = paper.strip().casefold()
    exact = {t for t, arxiv, i in papers if named and named in (arxiv, i.split(".")[0].casefold())}
    titles = exact or {t for t, _, _ in papers if named and named in t.casefold()}
    if not titles:
        numbers = sorted({arxiv for _, arxiv, _ in papers if arxiv})
        near = difflib.get_close_matches(paper, [*numbers, *(t for t, _, _ in papers)], 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise Problem(
            f"paper {paper!r}: no claim or statement is of it; {hint}give words of a title or an "
            f"arXiv number ({', '.join(numbers)})"
        )
    return titles
