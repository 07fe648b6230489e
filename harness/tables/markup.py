"""A head and rows of cells to a table in markdown, LaTeX or CSV, with its caption."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence

Row = Sequence[object]
IN_A_CELL = str.maketrans({"|": "\\|", "\n": " "})  # what a cell of a markdown table cannot hold


def markdown(head: Sequence[str], body: Sequence[Row], caption: str) -> str:
    """A GitHub table, columns aligned, its caption below."""
    rows = [[str(cell).translate(IN_A_CELL) for cell in row] for row in [head, *body]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    rule = "|".join("-" * (width + 2) for width in widths)
    lines.insert(1, f"|{rule}|")
    return "\n".join(lines) + "\n\n" + caption + "\n"


def latex(head: Sequence[str], body: Sequence[Row], caption: str) -> str:
    """A LaTeX table environment (package booktabs), its caption included."""
    lines = [" & ".join(escape(str(cell)) for cell in row) + r" \\" for row in [head, *body]]
    columns = "l" + "c" * (len(head) - 1)
    return latex_environment(columns, lines[:1], lines[1:], caption=caption)


def latex_environment(
    columns: str, head: Sequence[str], body: Sequence[str], *, caption: str
) -> str:
    r"""A LaTeX table environment around lines that are LaTeX already and end in `\\`.

    `columns` holds one letter a column, as `tabular` wants them; the caption is plain text.
    """
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def comma_separated(head: Sequence[str], body: Sequence[Row], caption: str) -> str:
    """Comma-separated lines with a head; the caption as comments above."""
    file = io.StringIO()
    for line in caption.splitlines():
        file.write(f"# {line}\n")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(body)
    return file.getvalue()


def escape(text: str) -> str:
    """Text for LaTeX."""
    special: dict[str | int, str | int | None] = {
        character: f"\\{character}" for character in "&%$#_{}"
    }
    special |= {"\\": r"\textbackslash{}", "±": r"$\pm$", "≈": r"$\approx$", "\n": " "}
    special |= {"≥": r"$\geq$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return text.translate(str.maketrans(special))


FORMATS: Mapping[str, Callable[[Sequence[str], Sequence[Row], str], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}
