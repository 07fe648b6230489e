"""Words in rows and columns to markdown, LaTeX or CSV text, with what they mean below or above."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

Row = Sequence[object]


def markdown(head: Sequence[str], body: Sequence[Row], caption: str) -> str:
    """A GitHub table, columns aligned, its caption below."""
    lines = [[str(word) for word in row] for row in [head, *body]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    told = [
        "| "
        + " | ".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    told.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(told) + "\n\n" + caption + "\n"


def latex(head: Sequence[str], body: Sequence[Row], caption: str) -> str:
    """A LaTeX table environment (package booktabs), its caption included."""
    lines = [" & ".join(escape(str(word)) for word in row) + r" \\" for row in [head, *body]]
    told = [
        *(r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}"),
        *(rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}", r"\toprule", lines[0], r"\midrule"),
        *(*lines[1:], r"\bottomrule", r"\end{tabular}", r"\end{table}", ""),
    ]
    return "\n".join(told)


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
