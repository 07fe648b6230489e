"""An option that a command would ignore is refused, in one line, before anything is done."""

from __future__ import annotations

import pytest

from tests.made import call

DEMO = ("--results", "results/reference/demo")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", *DEMO, "--port", "8123"), "--port says where --watch serves; give both"),
        (("status", *DEMO, "--watch", "--json"), "--json prints rows, and --watch serves a page"),
        (("report", *DEMO, "--port", "8123"), "--port says where --watch serves; give both"),
        (("report", *DEMO, "--watch", "--output", "x.html"), "--output is written, and --watch"),
        (("report", *DEMO, "--watch", "--figures", "x"), "--figures is written, and --watch"),
        (("report", "--protocol", "demo", "--findings", "x.json"), "--findings is of records"),
        (("report", "--protocol", "demo", "--port", "8123"), "--port is of records"),
        (("report", "--protocol", "demo", "demo/glyphs"), "demo/glyphs is of records"),
        (("table", *DEMO, "--json", "--format", "csv"), "--format is of text; leave it or --json"),
        (("table", *DEMO, "--uncertainty", "--figure", "x.png"), "--figure is of the table; --unc"),
        (("table", *DEMO, "--uncertainty", "--explain"), "--explain is of the table; --uncertain"),
        (("table", *DEMO, "--per-run", "--explain"), "--explain is of the table; --per-run prints"),
        (("losses", "--with", "triplet"), "--with goes with `losses compare`"),
        (("losses", "warped", "--dataset", "cub"), "--dataset goes with `losses compare`"),
        (("losses", "warped", "--kind", "proxy"), "--kind goes with `losses new`"),
        (("losses", "new", "mine", "--json"), "--json goes with `losses [NAME]`"),
        (("losses", "check", "mine", "--study", "demo"), "--study goes with `losses [NAME]`"),
        (("data", "list", "cub"), "`data list` lists all datasets; leave cub out"),
        (("data", "list", "--resize", "64"), "--resize goes with `data cache`"),
        (("data", "verify", "cub", "--json"), "--json goes with `data list`"),
        (("data", "new", "mine", "--skip-bad"), "--skip-bad goes with `data fetch` or `data verif"),
        (("data", "cache", "glyphs", "--resize", "64"), "--resize has no use for glyphs"),
        (("studies", "--like", "check"), "--like goes with `studies new`"),
        (("studies", "new", "mine", "--json"), "--json lists studies, and `new` writes one"),
        (("trunks", "list", "convnet"), "`trunks list` lists all trunks; leave convnet out"),
        (("trunks", "new", "mine", "--json"), "--json lists trunks, and `new` writes one"),
        (
            ("features", "--dataset", "glyphs", "--trunk", "convnet", "--seed", "3"),
            "--seed draws the crops of --augmented; give both",
        ),
        (
            ("study", "--fresh", "--resume-from", "x"),
            "--resume-from goes on with records, and --fr",
        ),
        (("study", "--fresh", "--retry-failed"), "--retry-failed goes on with records, and --fres"),
        (("study", "--study", "landscapes", "--engine", "slurm"), "has no use for --engine"),
        (("study", "--study", "landscapes", "--workers", "2"), "has no use for --workers"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(words, said):
    code, out, err = call(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
