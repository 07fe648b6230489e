"""Claims, statements and our records to findings: what published numbers and sentences are worth.

Pure: data in, findings out. `claims_file`, `statements`, `settings` and `evidence` read the files;
`findings` writes CSV and JSON, `report` markdown.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from harness.audit import (
    check_evidence,
    check_in_kind,
    check_literature,
    check_paper,
    check_published,
    check_settings,
    check_statements,
)
from harness.audit.by_records import Evidence, EvidenceKey
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
    subjects: AbstractSet[str] | None = None,
    published: Sequence[Claim] | None = None,
    replaced: Mapping[str, Claim] | None = None,
    facts: Sequence[MethodFact] = (),
    effects: Sequence[Effect] = (),
) -> list[Finding]:
    """The findings about every claim and every statement, or about those in `subjects`.

    evidence: (loss, dataset, category, score name) -> our repeats. subjects: ids of claims and
    statements. published: the claims that others are compared with (default: all). replaced: see
    `claims_file.merged`. Every claim gets the checks "on paper", "other documents" and "our
    evidence", and "comparability" if it stands beside its authors' own number; every statement
    gets four, and "in kind" for every other dataset that the evidence is of.
    """
    if subjects is None:
        subjects = {c.claim_id for c in claims} | {s.statement_id for s in statements}
    audited_claims = [claim for claim in claims if claim.claim_id in subjects]
    papers = {claim.paper for claim in audited_claims}
    of_papers = [claim for claim in claims if claim.paper in papers]
    all_effects = effects_of_settings(claims, effects)
    result: list[Finding] = []
    for statement in statements:
        if statement.statement_id not in subjects:
            continue
        compared = pairs(statement, claims)
        result += [
            check_statements.on_paper(statement, compared, claims),
            check_statements.separable(statement, compared),
            check_settings.of_statement(statement, compared, all_effects, facts=facts),
            check_evidence.of_statement(statement, compared, evidence),
            *check_in_kind.of_statement(statement, compared, evidence),
        ]
    # the checks need whole documents, also where only some of their claims are asked for
    about_claims = check_paper.on_paper(of_papers)
    about_claims += check_published.of_claims(
        of_papers, claims if published is None else published, replaced or {}
    )
    about_claims += check_settings.of_claims(of_papers, all_effects, facts)
    about_claims += check_literature.agreement(claims)
    ids = {claim.claim_id for claim in audited_claims}
    result += [finding for finding in about_claims if _concerns(finding, ids, papers)]
    return result + [check_evidence.of_claim(claim, evidence) for claim in audited_claims]


def _concerns(finding: Finding, ids: AbstractSet[str], papers: AbstractSet[str]) -> bool:
    if finding.about == "group":
        return any(report["claim"] in ids for report in finding.numbers["reports"])
    return finding.paper in papers if finding.about == "table" else finding.subject in ids


def subjects_of_paper(
    paper: str, claims: Sequence[Claim], statements: Sequence[Statement]
) -> set[str]:
    """The ids of the claims and statements of the documents that `paper` names.

    It is an arXiv number, the first part of claim ids, or words of the title; if none matches, a
    Problem names the known ones.
    """
    return subjects_of_titles(titles_of(paper, claims, statements), claims, statements)


def subjects_of_titles(
    titles: AbstractSet[str], claims: Sequence[Claim], statements: Sequence[Statement]
) -> set[str]:
    """The ids of the claims and statements of documents with these titles."""
    ids = {claim.claim_id for claim in claims if claim.paper in titles}
    return ids | {s.statement_id for s in statements if s.paper in titles}


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
