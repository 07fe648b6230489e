"""Any bytes, any words: a result or one Problem, in less than two seconds, and no file changed.

With tests/records/test_mistyped.py these are more than 10,000 examples. Readers are called in this
process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import cli
from harness.audit import claims_file, findings, statements
from harness.data import embedding_files
from harness.engines import slurm_options
from harness.schema import Problem, Study

LONGEST = 2.0  # seconds of processor time
QUIETLY = {"deadline": None, "suppress_health_check": list(HealthCheck)}
CSV = b"""paper,method,dataset,metric,value,spread,spread_kind,n_runs,dim,runs,claim_id
A,warped,cub,R@1,69.7,0.2,std,5,512,69.5|69.9,a1
B,"contra, stive",cars,MAP@R,20.5,,,,128,,
"""
BIB = b"""@inproceedings{doe2026, title = {A {L}oss}, year = {2026}, eprint = {2601.00001},
  claims = {
    warped cub R@1 72.6 spread=0.2 spread_kind=std n_runs=5 trunk=resnet50 dim=512
    warped cars R@1 91.2
  }}
@article{other, title = "B", claims = {a cub MAP@R 20.0}}
"""
TOML = b"""partition = "gpu"
time_minutes = 240
gpus = 1
setup = ["module load cuda"]
[extra]
nice = 10
"""
JSON = b"""[{"id": "s1", "paper": "A", "kind": "beats", "text": "A beats B", "where_said": "p. 1",
  "a": {"method": "warped"}, "b": {"method": "contrastive"}, "over": {"dataset": "cub"}}]
"""
# Pieces that have broken readers before: encodings, limits, numbers that are none, quotes.
PIECES = [
    *(b"\xe9", b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\r", b"\n", b"\x85", b"\xe2\x80\xa8"),
    *(b'"', b"'", b"{", b"}", b"[", b"]", b",", b"=", b"|", b"@a{b,", b"claims={", b"\\", b"%s"),
    *(b"nan", b"inf", b"-1", b"1e999", b"0", b"R@0", b"R@99999999999999999999", b"9" * 5000),
    *(b" " * 300_000, b"x" * 140_000, b"[" * 3000, b"{" * 3000, "٣²".encode(), b"null", b"true"),
]


@st.composite
def damaged(draw, seed: bytes) -> bytes:
    """The seed with some pieces put in, cut out or doubled."""
    content = seed
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(seed)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        cut = draw(st.integers(0, 30))
        content = content[:at] + piece + content[at + cut :]
    return content


@contextlib.contextmanager
def quickly():
    begun = time.process_time()
    yield
    assert time.process_time() - begun < LONGEST


def read(reader, path: Path, content: bytes):
    """What a reader makes of a file with this content, or None after a Problem; never more."""
    path.write_bytes(content)
    with quickly():
        try:
            result = reader(path)
        except Problem:
            result = None
    assert path.read_bytes() == content
    return result


@given(content=damaged(CSV))
@pytest.mark.slow
@settings(max_examples=2000, **QUIETLY)
def test_any_csv_of_claims(tmp_path, content):
    claims = read(claims_file.read, tmp_path / "claims.csv", content)
    if claims is not None:
        for text in (findings.to_csv, findings.to_json):
            text(findings.of_left_out(claims.left_out)).encode()


@given(content=damaged(BIB))
@pytest.mark.slow
@settings(max_examples=1000, **QUIETLY)
def test_any_bibtex_of_claims(tmp_path, content):
    read(claims_file.read, tmp_path / "claims.bib", content)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"])
def test_a_byte_order_mark_loses_no_entry(tmp_path, mark):
    path = tmp_path / "claims.bib"
    path.write_bytes(mark + BIB)
    assert len(claims_file.read(path).claims) == 3


def test_many_spaces_in_bibtex_take_no_time(tmp_path):
    spaced = BIB.replace(b"},", b"}" + b" " * 300_000 + b"?,", 1)
    assert read(claims_file.read, tmp_path / "claims.bib", spaced) is None


@given(content=damaged(JSON))
@pytest.mark.slow
@settings(max_examples=1000, **QUIETLY)
def test_any_json_of_statements(tmp_path, content):
    read(statements.read, tmp_path / "statements.json", content)


@given(content=damaged(TOML))
@pytest.mark.slow
@settings(max_examples=1500, **QUIETLY)
def test_any_toml_of_a_cluster(tmp_path, content):
    read(slurm_options.read, tmp_path / "cluster.toml", content)


@given(content=damaged(b"label,is_query\na,1\nb,0\n"))
@pytest.mark.slow
@settings(max_examples=500, **QUIETLY)
def test_any_csv_of_labels(tmp_path, content):
    read(embedding_files.read_labels, tmp_path / "labels.csv", content)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["none", "all", "resnet50", "appendix_d", "optimism", "standard"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["cub", "lr"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = [field.name for field in dataclasses.fields(Study)]


@given(fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3))
@pytest.mark.slow
@settings(max_examples=1000, **QUIETLY)
def test_any_fields_of_a_study(fields):
    with quickly(), contextlib.suppress(Problem):
        study = Study(**{"name": "any", **fields})
        study.digest()
        for dataset in study.per_dataset:
            study.for_dataset(dataset)


WORDS = st.sampled_from(
    [
        *cli.COMMANDS,
        *(
            "--study",
            "--loss",
            "--dataset",
            "--results",
            "--format",
            "--json",
            "--trials",
            "--help",
        ),
        *("--devices", "--workers", "--metrics", "--optuna", "--claims", "--resize", "--slots"),
        *("demo", "glyphs", "all", "0", "-1", "1e9", "nan", "", "--", "-", "--=", "=", "\x00", "é"),
        *(
            "\udce9",
            "--dataset=--",
            "--loss=",
            "folder:",
            "hf:",
            "features:",
            "table:",
            "../x",
            "%s",
        ),
        *("9" * 5000, "٣", "sqlite://", "list", "fetch", "verify", "\n"),
    ]
) | st.text(max_size=4)


@given(words=st.lists(WORDS, max_size=6))
@pytest.mark.slow
@settings(max_examples=1000, **QUIETLY)
def test_any_command_line_is_parsed_or_refused_with_2(monkeypatch, words):
    for command in cli.COMMANDS.values():
        monkeypatch.setattr(command, "run", lambda options: None)
    out, err = io.StringIO(), io.StringIO()
    with (
        quickly(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.main(words)
    assert (end.value.code or 0) in (0, 2)
    assert (end.value.code == 2) == (err.getvalue() != "")


@given(words=st.lists(WORDS, max_size=4), command=st.sampled_from(["status", "table", "compare"]))
@pytest.mark.slow
@settings(max_examples=300, **QUIETLY)
def test_any_words_after_a_command_that_reads_results_leave_an_empty_folder_empty(
    tmp_path, words, command
):
    (tmp_path / "empty").mkdir(exist_ok=True)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.main([command, *words, f"--results={tmp_path / 'empty'}"])
    assert (end.value.code or 0) in (0, 2)
    assert "Traceback" not in err.getvalue()
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]
