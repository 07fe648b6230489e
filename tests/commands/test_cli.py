"""The command line: one clear line and exit code 2 for a mistake, and no file half written."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import studies.smoke
from harness import cli
from harness.commands import options
from harness.engines import local
from losses import contrastive
from tests.commands import event_page, lightly
from tests.made import HANGS, Inline, call, images, lines_in, wait_for_lines

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return images(tmp_path_factory.mktemp("images") / "tiny")


@pytest.fixture(autouse=True, scope="module")
def light():
    """Give the study `smoke` fewer batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies.smoke, "STUDY", lightly.STUDY)
        yield


def words_for(folder, tmp_path) -> list[object]:
    """The command line of a study of one loss on a folder of images."""
    words: list[object] = ["study", "--study", "smoke", "--loss", "contrastive"]
    words += ["--dataset", f"folder:{folder}", "--workers", 1]
    return [*words, "--results", tmp_path / "results", "--data", tmp_path / "data"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["study", "--loss", "warpd", "--dataset", "glyphs"], "did you mean 'warped'?"),
        (["study", "--loss", "warped", "--dataset", "glyhps"], "did you mean 'glyphs'?"),
        (["study", "--study", "smok", "--loss", "warped"], "did you mean 'smoke'?"),
        (["study", "--loss", "zzz", "--dataset", "glyphs"], "known: angular, "),
        (["table", "--results", "nowhere"], "no records in nowhere"),
        (["study", "--study", "smoke", "--device", "qpu"], "no device 'qpu'"),
        (["bench", "--only", "mertics"], "did you mean 'metrics'?"),
        (["bench", "--only", "help", "--device", "qpu"], "no device 'qpu'"),
        (["study", "--study", "smoke", "--dataset", "folder:/nowhere"], "is no folder"),
        (["compare", "--metric", "map"], "did you mean 'map_at_r'?"),
        (["compare", "--figure", "x.gif"], "must end in .png"),
        (["losses", "arcfase"], "did you mean 'arcface'?"),
        (["data", "verify"], "needs the NAME of a dataset"),
        (["data", "fetch", "cbu"], "did you mean 'cub'?"),
        (["data", "fetch", "folder:/nowhere"], "nothing to fetch"),
        (["verify", "smoke/glyphs"], "give STUDY/DATASET, STUDY/DATASET/LOSS or"),
    ],
)
def test_a_mistake_ends_in_one_line_that_says_what_is_known_and_exit_code_2(
    words, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*words)
    assert code == 2
    assert expected in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize(
    "words",
    [
        ["data", "verify", "cub", "--skip-bad", "--data=here"],
        ["studies", "mine", "--like=demo", "--json"],
        ["losses", "check", "warped", "--study=demo"],
        ["export", "--packed=there", "--study=demo"],
        ["gallery", "a/b/c", "--json", "--results=there"],
        ["score", "e.npy", "l.csv", "--json", "--distance=euclidean"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_takes_its_words_in_any_order(monkeypatch, words):
    seen = []
    module = cli.COMMANDS[words[0]]
    monkeypatch.setattr(module, "run", seen.append)
    names = [word for word in words[1:] if not word.startswith("--")]
    options = [word for word in words[1:] if word.startswith("--")]
    for order in (options + names, names + options, [*options[:1], *names, *options[1:]]):
        with pytest.raises(SystemExit) as ended:
            cli.main([words[0], *order])
        assert ended.value.code == 0, order
    assert seen[0] == seen[1] == seen[2]


def test_a_wrong_type_in_a_study_file_is_one_line_naming_the_field(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    file = tmp_path / "studies" / "mine.py"
    monkeypatch.setattr(options, "names_in", lambda package: ["mine"])
    monkeypatch.setattr("studies.__path__", [str(tmp_path / "studies")])
    for text, expected in [
        ("STUDY = Study(name='mine', folds='4')", r"folds = '4' is not of the type int"),
        ("STUDY = Study(name='mine', fold=4)", r"argument 'fold'; did you mean 'folds'\?"),
        ("STUDY = Study(name='other')", r"STUDY must be a Study\(name='mine'"),
        ("STUDY = 3", r"STUDY must be a Study"),
        ("STUDY = Study(name='mine', trials=0)", r"trials = 0 is too small; at least 1"),
        ("STUDY = Study(name='mine', lr=(1.0, 0.1))", r"0 < low <= high"),
        ("STUDY = Study(name='mine', per_dataset={'cub': {'crap': 1}})", r"sets 'crap'"),
        ("import nothing_of_the_kind", r"cannot be read: ModuleNotFoundError"),
    ]:
        sys.modules.pop("studies.mine", None)
        file.write_text(f"from harness.schema import Study\n{text}\n")
        importlib.invalidate_caches()
        code, _, err = call("study", "--study", "mine")
        assert code == 2
        assert re.search(expected, err), err
        assert err.count("\n") == 1


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """The folder around a finished study's data and results, and what --json printed of it."""
    root = tmp_path_factory.mktemp("finished")
    code, out, err = call(*words_for(folder, root), "--json")
    assert code == 0, err
    return root, out


def test_a_study_prints_its_table_and_table_prints_it_again(folder, finished, tmp_path):
    tmp_path = Path(shutil.copytree(finished[0], tmp_path / "root"))
    code, out, err = call(*words_for(folder, tmp_path), "--quiet")
    assert code == 0, err
    assert "| contrastive |" in out
    assert "| untrained " in out
    results = tmp_path / "results"
    again = call("table", "--results", results, "--dataset", f"folder:{folder}")
    assert again[1] == out
    latex = call("table", "--results", results, "--format", "latex")[1]
    assert latex.count(r"\\") == 4  # two heads, two rows
    csv = call("table", "--results", results, "--format", "csv")[1]
    lines = [line for line in csv.splitlines() if not line.startswith("#")]
    assert len(lines) == 1 + 2 * 9
    picture = tmp_path / "table.png"
    assert call("table", "--results", results, "--figure", picture)[0] == 0
    with Image.open(picture) as image:
        assert image.width > 1000
    code, _, err = call("table", "--results", results, "--figure", "x.gif")
    assert (code, "must end in .png" in err) == (2, True)
    code, out, _ = call("status", "--results", results, "--json")
    rows = {row["loss"]: row for row in json.loads(out)}
    assert rows["contrastive"]["finished"]
    assert rows["contrastive"]["writer"] is None
    assert "finished; search 8/8" in call("status", "--results", results)[1]
    code, _, err = call("table", "--results", results, "--loss", "contrstive")
    assert (code, "did you mean 'contrastive'?" in err) == (2, True)


def test_json_is_one_documented_event_per_line_with_the_table_last(finished):
    events = [json.loads(line) for line in finished[1].splitlines()]
    event_page.check(events)
    assert events[-1]["event"] == "table"
    assert {row["loss"] for row in events[-1]["rows"]} == {"contrastive", "untrained"}
    ended = [event for event in events if event["event"] == "finished"]
    assert len(ended) == 8 + 2 * (8 + 2 + 2)
    assert {event["stage"] for event in ended} == {"search", "repeat", "ensemble", "complete"}
    assert all(0 <= event["scores"]["map_at_r"] <= 1 for event in ended)


def test_every_run_that_starts_finishes_with_the_same_names_seed_and_params(finished):
    events = [json.loads(line) for line in finished[1].splitlines()]
    names = event_page.fields()["started"]
    started, ended = (
        sorted(json.dumps({name: event[name] for name in names}, sort_keys=True) for event in some)
        for some in (
            [event for event in events if event["event"] == kind]
            for kind in ("started", "finished")
        )
    )
    assert started == ended


def test_when_every_trial_fails_one_line_says_why(folder, tmp_path, monkeypatch):
    nan = float("nan")
    monkeypatch.setattr(
        contrastive.Loss, "forward", lambda _, embeddings, __: nan * embeddings.sum()
    )
    monkeypatch.setattr(local, "Local", lambda places: Inline(places[0]))
    code, out, err = call(*words_for(folder, tmp_path), "--quiet")
    assert code == 2
    assert "every trial failed; the first one, search-t0-f0: Diverged: the loss became nan" in err
    assert "FAILED: contrastive, 8 runs" in out


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_study_and_the_same_command_finishes_it(folder, tmp_path, stop, code):
    words = [sys.executable, "-m", "tests.commands.lightly"]
    words += map(str, words_for(folder, tmp_path))
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for_lines(tmp_path / "results", 14, process)
    process.send_signal(stop)
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == code
    assert b"stopped; the same command carries on" in err
    assert b"Traceback" not in err
    before = lines_in(tmp_path / "results")
    finished = subprocess.run(words, cwd=ROOT, capture_output=True, timeout=HANGS)
    assert finished.returncode == 0, finished.stderr
    assert lines_in(tmp_path / "results") == 20 + 12 > before


def test_a_second_study_on_the_same_results_is_refused_with_the_process_that_holds_them(
    folder, finished, tmp_path
):
    tmp_path = Path(shutil.copytree(finished[0], tmp_path / "root"))
    words = words_for(folder, tmp_path)
    path = next((tmp_path / "results").rglob("contrastive.jsonl"))
    before = path.read_bytes()
    program = (
        "import time; from pathlib import Path; from harness.records import folder\n"
        f"with folder.hold(Path({str(path)!r})): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    code, _, err = call(*words, "--quiet")
    holder.kill()
    holder.wait()
    assert code == 2
    assert f"process {holder.pid}" in err
    assert path.read_bytes() == before
