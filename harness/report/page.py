"""The report: one HTML file that needs no network, and its figures as files for a paper."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.report import (
    answer,
    comparison,
    curves,
    differences,
    experiment,
    findings,
    forest,
    ranks,
    retrieved,
    runs,
    searches,
    svg,
)
from harness.report.runs import Classes, Runs
from harness.report.sources import Render, Source
from harness.tables import table_text
from harness.tables.table_caption import caption

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """What the page shows of a study on a dataset."""

    source: Source
    number: int
    answer: list[str]
    columns: list[comparison.Column]
    rows: list[comparison.PageRow]
    texts: Mapping[str, str]  # format -> the text that `table --format` prints
    caption: str
    forests: list[list[str]]  # metric -> a figure for each category
    comparisons: list[dict[str, Any]]
    baseline: str
    searches: list[searches.Search]
    curves: list[curves.Curve]
    retrieved: list[retrieved.Retrieved]
    runs: list[Runs]
    held_out: str
    cost: str
    classes: Classes | None
    settings: list[tuple[str, str]]


def html(
    sources: Sequence[Source],
    *,
    figures: Path | None = None,
    audited: Sequence[Mapping[str, Any]] = (),
    refresh: bool = False,
) -> str:
    """The page of the sources, in their order; each figure also goes to a folder if one is given.

    `audited`: findings of the audit, of which those about the page's losses are shown.
    `refresh`: the page is served while a study runs, and asks for itself again.
    """
    render = _renderer(figures)
    sections: list[Section] = []
    experiments = []
    for source in sources:
        page = experiment.of(source)
        if page is not None:
            experiments.append(page)
        if not source.study.test_scored:
            sections.append(_section(source, len(sections), render))
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "svg": Markup,  # figures are made here, their labels escaped
        "against": differences.against,
        "matrix": differences.matrix,
        "data": _as_script_data,
    }
    return environment.get_template("report.html").render(
        sections=sections,
        experiments=experiments,
        rankings=ranks.of_studies(sources, render),
        findings=findings.about(audited, {name for one in sources for name in one.records}),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        checksum=checksum,
        refresh=refresh,
    )


def _renderer(folder: Path | None) -> Render:
    """What turns a figure into a part of the page, and keeps it as files where that is wanted."""
    names: dict[str, int] = {}
    numbers = itertools.count()

    def render(name: str, label: str, figure: Any) -> str:
        names[name] = names.get(name, -1) + 1
        name = f"{name}_{names[name]}" if names[name] else name
        with _style():
            if folder is not None:
                svg.save(name, figure, folder)
            return svg.inline(f"f{next(numbers)}", label, figure)

    return render


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(svg.STYLE)


def _section(source: Source, number: int, render: Render) -> Section:
    columns = differences.columns(source)
    pairs = [data for data in map(differences.as_data, columns) if data["pairs"]]
    first = source.metrics[0]
    with _style():
        return Section(
            source=source,
            number=number,
            answer=answer.sentences(source, [one for one in columns if one.metric == first]),
            columns=comparison.columns(source),
            rows=comparison.rows(source),
            texts={name: text(source.default_table) for name, text in table_text.FORMATS.items()},
            caption=caption(source.default_table),
            forests=[forest.figures(source, metric, render) for metric in source.metrics],
            comparisons=pairs,
            baseline=pairs[0]["losses"][0] if pairs else "",
            searches=searches.searches(source, render),
            curves=curves.curves(source, render),
            retrieved=retrieved.retrieved(source, render),
            runs=runs.runs(source),
            held_out=runs.held_out_figure(source, render),
            cost=runs.cost_figure(source, render),
            classes=runs.classes(source),
            settings=_settings(source),
        )


def _settings(source: Source) -> list[tuple[str, str]]:
    """The fields of the study that say something, as text."""
    left_out = {"losses", "datasets", "per_dataset", "variants"}
    return [
        (name, str(value)) for name, value in vars(source.study).items() if name not in left_out
    ]


def _as_script_data(value: object) -> Markup:
    """JSON that stands in a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
