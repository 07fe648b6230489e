"""The page of the study `optimism`: what choosing on the test classes is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.schema import Record, Study
from harness.tables import optimism, optimism_figure, optimism_text
from harness.tables.page import Page, Sheet


def page(
    study: Study, dataset: str, records: Mapping[str, Sequence[Record]], notes: Sequence[str]
) -> Page:
    """The pools of the losses, each chosen from in two ways."""
    table = optimism.table(study, dataset, records, notes)
    return Page(
        data=lambda: optimism_text.as_data(table),
        text=lambda form: optimism_text.FORMATS[form](table),
        draw=lambda path: optimism_figure.draw(table, path),
        answer=optimism_text.answer(table),
        sheets=(Sheet(*optimism_text.sheet(table)),),
        caption=lambda: optimism_text.caption(table),
    )
