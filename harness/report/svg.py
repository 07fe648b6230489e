"""A matplotlib figure as a part of a page: small, the same each time, in the page's colours."""

from __future__ import annotations

import html
import io
import re
import warnings
from pathlib import Path
from typing import Any

from harness.tables import figure as figures

# Colours of figures -> those of the page, which differ in dark mode. Blue, orange, green and purple
# are told apart by colour-blind readers (Okabe and Ito 2008).
INK, SOFT, RULE, PAPER = "#1a1a1b", "#767677", "#dededf", "#fffffe"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#8f5f9f"
THEME = {
    "#000000": "var(--ink)",
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    PURPLE: "var(--purple)",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "pdf.fonttype": 42,  # letters that a journal's check accepts
    "text.parse_math": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "font.size": 9,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": RULE,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def inline(name: str, label: str, figure: Any) -> str:
    """The figure as an SVG element for a page, which must be the only one of that name there.

    `label` says what it shows, for those who do not see it.
    """
    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the page's font draws the text
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    # The page's style says these: how lines join, and the letters.
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    text = _with_short_ids(text, name)
    text = re.sub(
        r"(?<=[\s\"(,-])\d+\.\d{3,}",
        lambda m: f"{float(m[0]):.4g}" if float(m[0]) < 10 else f"{float(m[0]):.1f}",
        text,
    )
    for colour, variable in THEME.items():
        text = text.replace(colour, variable)
    text = _with_shared_styles(text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    width, height = (float(m) for m in re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2])
    head = (
        f'<svg role="img" aria-label="{html.escape(label)}" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + text[text.index(">") + 1 :].strip()


def save(name: str, figure: Any, folder: Path) -> None:
    """Write the figure for a paper: NAME.svg, NAME.png and NAME.pdf in the folder."""
    import matplotlib

    for ending in ("svg", "png", "pdf"):
        with warnings.catch_warnings(), matplotlib.rc_context({"savefig.facecolor": "white"}):
            warnings.filterwarnings("ignore", message="Glyph")
            figures.save(figure, folder / f"{name}.{ending}")


def _with_short_ids(text: str, name: str) -> str:
    """Only the ids that something refers to, made the figure's own."""
    ids = set(re.findall(r"#([A-Za-z][\w.-]*)", text)) & set(re.findall(r'id="([^"]*)"', text))
    short = {old: f"{name}-{number}" for number, old in enumerate(sorted(ids))}
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", text)
    return re.sub(
        r"#([A-Za-z][\w.-]*)", lambda m: f"#{short[m[1]]}" if m[1] in short else m[0], text
    )


def _with_shared_styles(text: str) -> str:
    """The style of equal markers once, at the group around them, instead of at each."""

    def shared(match: re.Match[str]) -> str:
        styles = set(re.findall(r'style="([^"]*)"', match[2]))
        if len(styles) != 1 or len(re.findall("style=", match[2])) != match[2].count("<use"):
            return match[0]
        uses = re.sub(r' style="[^"]*"', "", match[2])
        return f'<g style="{styles.pop()}"{match[1]}>{uses}</g>'

    return re.sub(r"<g((?: clip-path=\"[^\"]*\")?)>((?:\s*<use [^>]*/>)+)\s*</g>", shared, text)
