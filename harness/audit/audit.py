"""Claims, statements and our records to findings: what published numbers and sentences are worth.

Pure: data in, findings out. `claims`, `statements`, `settings` and `evidence` read the files;
`findings` writes markdown, CSV and JSON.
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
)
from harness.audit.check_evidence import Evidence, EvidenceKey
from harness.audit.claims import Claim
from harness.audit.findings import Finding
from harness.audit.settings import Effect, MethodFact, effects_of_settings
from harness.audit.statements import Statement, pairs
from harness.schema import Problem


def findings(
    claims: Sequence[Claim],
    statements: Sequence[Statement],
    evidence: Mapping[EvidenceKey, Evidence],
    *,
    paper: str | None = None,
    facts: Sequence[MethodFact] = (),
    effects: Sequence[Effect] = (),
) -> list[Finding]:
    """The findings about every claim and every statement, or about those of one `paper`.

    evidence: (loss, dataset, category, score name) -> our repeats. paper: an arXiv number, the
    first part of claim ids, or words of the title; if none matches, a Problem names the known ones.
    Every claim gets the checks "on paper" and "our evidence", and "comparability" if it stands
    beside its authors' own number; every statement gets four.
    """
    audited_claims, audited_statements = list(claims), list(statements)
    if paper is not None:
        titles = titles_of(paper, claims, statements)
        audited_claims = [claim for claim in claims if claim.paper in titles]
        audited_statements = [statement for statement in statements if statement.paper in titles]
    all_effects = effects_of_settings(claims, effects)
    result: list[Finding] = []
    for statement in audited_statements:
        compared = pairs(statement, claims)
        result += [
            check_statements.on_paper(statement, compared),
            check_statements.separable(statement, compared),
            check_settings.of_statement(statement, compared, all_effects, facts=facts),
            check_evidence.of_statement(statement, compared, evidence),
        ]
    result += check_paper.on_paper(audited_claims)
    result += check_settings.of_claims(audited_claims, all_effects, facts)
    ids = {claim.claim_id for claim in audited_claims}
    for finding in check_literature.agreement(claims):
        if any(report["claim"] in ids for report in finding.numbers["reports"]):
            result.append(finding)
    return result + [check_evidence.of_claim(claim, evidence) for claim in audited_claims]


def titles_of(paper: str, claims: Sequence[Claim], statements: Sequence[Statement]) -> set[str]:
    """The titles that `paper` names: by arXiv number, by the first part of a claim id, by words."""
    papers = [(c.paper, c.arxiv, c.claim_id) for c in claims]
    papers += [(s.paper, s.arxiv, s.statement_id) for s in statements]
    name = paper.strip().casefold()
    exact = {
        title
        for title, arxiv, subject in papers
        if name and name in (arxiv, subject.split(".")[0].casefold())
    }
    titles = exact or {title for title, _, _ in papers if name and name in title.casefold()}
    if not titles:
        numbers = sorted({arxiv for _, arxiv, _ in papers if arxiv})
        known = [*numbers, *(title for title, _, _ in papers)]
        near = difflib.get_close_matches(paper, known, 1, 0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise Problem(
            f"paper {paper!r}: no claim or statement is of it; {hint}give words of a title or an "
            f"arXiv number ({', '.join(numbers)})"
        )
    return titles
