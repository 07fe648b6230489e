"""What tests of the report share: made-up results, and a page taken apart again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

from harness.commands import report
from harness.report import page
from harness.schema import Record
from tests import made

WARPED, CONTRASTIVE = (0.50, 0.52, 0.54), (0.30, 0.33, 0.34)
VOID = {"meta", "input", "img", "br", "link"}


def by_class(record: Record) -> Mapping[str, Sequence[float]] | None:
    """Three classes of 2, 3 and 5 queries that make up the scores, the last one the worst."""
    if record.repeat is None:
        return None
    sums = {
        name: [2 * 1.2 * score, 3 * 1.1 * score, 5 * 0.86 * score]
        for name, score in record.scores.items()
    }
    return {"queries": [2, 3, 5], **sums}


def curve() -> list[dict[str, object]]:
    """Four epochs of the normal phase, two of the follow-up."""
    return [
        {"phase": phase, "epoch": epoch, "loss": 1.0, "map_at_r": 0.1 * epoch}
        for phase, last in (("normal", 4), ("followup", 2))
        for epoch in range(1, last + 1)
    ]


def write(results: Path, dataset: str = "made", **values: Sequence[float]) -> None:
    """A finished study with curves and scores by class; the scores of each loss by repeat."""
    values = values or {"warped": WARPED, "contrastive": CONTRASTIVE}
    records = {}
    for loss, scores in values.items():
        records[loss] = [
            replace(
                record,
                by_class=by_class(record),
                scores={**record.scores, "queries": 10.0},
                curve=curve() if record.stage == "repeat" else [],
            )
            for record in made.scored(loss, scores, dataset=dataset)
        ]
    made.write_records(results, dataset, records)


def html(results: Path) -> str:
    """The page of all records of a results folder."""
    folders = report.folders_of(results, [])
    return page.html([report.source_of(where, None, results) for where in folders])


@dataclass
class Element:
    """An element of a page: its name, attributes, text of its own and below, and children."""

    name: str
    attributes: Mapping[str, str]
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, name: str = "", **attributes: str) -> list[Element]:
        """The elements below of that name and with these attributes, `class_` a word of class."""
        below = [part for part in self.parts if isinstance(part, Element)]
        found = list(itertools.chain.from_iterable(part.all(name, **attributes) for part in below))
        return [part for part in below if part.matches(name, attributes)] + found

    def matches(self, name: str, attributes: Mapping[str, str]) -> bool:
        for key, value in attributes.items():
            if key == "class_":
                if value not in self.attributes.get("class", "").split():
                    return False
            elif self.attributes.get(key) != value:
                return False
        return not name or self.name == name


def parse(text: str) -> Element:
    """A page as a tree, by the standard library's parser."""
    root = Element("root", {})
    stack = [root]

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            element = Element(tag, {name: value or "" for name, value in attrs})
            stack[-1].parts.append(element)
            if tag not in VOID:
                stack.append(element)

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            stack[-1].parts.append(Element(tag, {n: v or "" for n, v in attrs}))

        def handle_endtag(self, tag: str) -> None:
            assert stack[-1].name == tag, f"</{tag}> ends <{stack[-1].name}>"
            stack.pop()

        def handle_data(self, data: str) -> None:
            stack[-1].parts.append(data)

    Parser().feed(text)
    assert stack == [root]
    return root
