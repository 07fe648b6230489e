"""What an audit finds wrong, on one screen: two lines each, as many as there is room for."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from harness.audit.findings import Finding
from harness.audit.report import WRONG, of_the_paper, wrong_numbers, wrong_statements

FRAME = 9  # lines of a screen that hold no entry: counts, headings, gaps, advice, the next prompt
ENTRY = 2  # lines of an entry
LEAST = 2  # entries of a kind, however low the screen is
NOT_ALL = "--format markdown prints the whole report, --format csv every finding."


def lines(findings: Sequence[Finding], *, width: int, height: int) -> list[str]:
    """Counts, then the worst statements, then the worst numbers, in lines no longer than `width`.

    `width` and `height` are those of the screen, in characters.
    """
    in_kind = Counter[str](finding.verdict for finding in findings if finding.check == "in kind")
    findings = of_the_paper(findings)
    parts = {
        "Statements that do not hold": wrong_statements(findings),
        "Numbers that cannot be right, or are in doubt": wrong_numbers(findings),
    }
    frame = FRAME + ENTRY * bool(in_kind)
    room = shares([len(entries) for entries in parts.values()], (height - frame) // ENTRY)
    text = _folded(_counts(findings), width)
    for (heading, entries), count in zip(parts.items(), room, strict=True):
        if entries:
            shown = "" if count >= len(entries) else f", {count} of {len(entries)}"
            text += ["", *_folded(f"{heading}{shown}:", width)]
            for entry in entries[:count]:
                text += _folded(f"* {entry.verdict}: {entry.text}", width, indent="  ")
    if not any(parts.values()):
        text.append("Nothing is wrong, by these checks.")
    if in_kind:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in in_kind.most_common())
        text += _folded(f"Statements tested in kind on other datasets: {counts}.", width)
    return [*text, "", *_folded(NOT_ALL, width)]


def shares(counts: Sequence[int], room: int) -> list[int]:
    """How many of two kinds of entries are shown; what one kind leaves free the other may take."""
    room = max(room, 2 * LEAST)
    first = min(counts[0], max(room // 2, room - counts[1]))
    return [first, min(counts[1], room - first)]


def _counts(findings: Sequence[Finding]) -> str:
    """How many statements and numbers were audited, and how many findings of each bad verdict."""
    subjects = {
        about: {finding.subject for finding in findings if finding.about == about}
        for about in ("statement", "claim")
    }
    counted = Counter[str](finding.verdict for finding in findings)
    wrong = ", ".join(f"{counted[verdict]} {verdict}" for verdict in WRONG if counted[verdict])
    left_out = f"; {counted['left out']} rows left out" if counted["left out"] else ""
    return (
        f"{len(subjects['statement'])} statements and {len(subjects['claim'])} numbers audited: "
        f"{wrong or 'no findings'}{left_out}"
    )


def _folded(text: str, width: int, indent: str = "") -> list[str]:
    """A text in at most ENTRY lines of the screen."""
    return textwrap.wrap(
        " ".join(text.split()),
        max(width, 20),
        subsequent_indent=indent,
        max_lines=ENTRY,
        placeholder=" ...",
    )
