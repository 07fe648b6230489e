"""The page on the harness in Python: every line of it runs, and every column stands on it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from harness.tables import record_rows, table_text
from tests.made import images

PAGE = Path(__file__).resolve().parents[2] / "results" / "PYTHON.md"
FRAMES = {
    "runs": record_rows.RUNS,
    "trials": record_rows.TRIALS,
    "curves": record_rows.CURVES,
    "scores_by_class": record_rows.CLASSES,
    "table": (*table_text.HEAD, *table_text.SEARCHES_HEAD),
}


@pytest.mark.slow
def test_every_line_of_the_page_gives_what_stands_below_it(tmp_path, monkeypatch):
    images(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    text = PAGE.read_text()
    lines = "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(lines, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) == text.count(">>> ") > 20
    failures: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=failures.append)
    assert not failures, "".join(failures)
    for name in ("table.png", "scores.pdf", "curves.png"):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("frame", FRAMES)
def test_every_column_of_a_frame_stands_in_its_part_of_the_page(frame):
    text = PAGE.read_text()
    (part,) = re.findall(rf"### `{frame}\(\)`(.*?)\n##", text, re.DOTALL)
    named = set(re.findall(r"`(\w+)`", part))
    everywhere = {"study", "dataset", "loss"}
    assert set(FRAMES[frame]) - everywhere <= named
