"""Commands on machines that lack something: one line and an exit code, never a traceback."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import cli
from harness.commands import status, terminal
from harness.engines import slurm_options
from harness.schema import Problem
from tests.made import HANGS, call, scored, write_records


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device", 2),
        (OSError(30, "Read-only file system"), "Read-only file system", 2),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "package torch is not", 2),
        (MemoryError(), "memory of this machine", 2),
        (KeyboardInterrupt(), "", 130),
        (KeyboardInterrupt(143), "", 143),
    ],
)
def test_what_the_machine_lacks_ends_every_command_in_one_line(monkeypatch, error, line, code):
    def run(options):
        raise error

    monkeypatch.setattr(status, "run", run)
    ended, out, text = call("status")
    assert (ended, out) == (code, "")
    assert line in text
    assert text.count("\n") == (line != "")


def test_a_bug_of_the_harness_still_shows_where_it_is(monkeypatch):
    def run(options):
        raise ModuleNotFoundError("No module named 'harness.nowhere'", name="harness.nowhere")

    monkeypatch.setattr(status, "run", run)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["status"])


@pytest.mark.parametrize("words", [["status", "--dataset=--"], ["table", "--loss=--"]])
def test_an_option_without_a_value_is_named(words):
    code, _, text = call(*words)
    assert code == 2
    assert text.strip().endswith("has no value")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_utf_8_gets_every_text(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.admit_every_text()
    stream.write("38.11 ± 1.24 ≈ 鳥 \udce9")
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) in (
        "38.11 +- 1.24 ~ ? ?",
        "38.11 ± 1.24 ~ ? ?",
    )


@pytest.fixture
def results(tmp_path):
    write_records(tmp_path / "results", "made", {"contrastive": scored("contrastive", [0.5] * 3)})
    return tmp_path / "results"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_that_is_gone_at_the_end_is_refused(results, url):
    code, out, text = call("export", "--optuna", url, "--results", results)
    assert (code, out) == (2, "")
    assert "names no file" in text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@localhost:notaport/db",
        "postgresql://localhost/db?user=me&password=s3cret",
        "postgresql://me:s3cret@localhost:99999999/db?sslmode=s3cret",
        "sqlite:////proc/nowhere/s3cretless.db",
        "nonsense",
    ],
)
def test_no_password_is_shown_and_a_bad_port_is_one_line(results, url):
    code, out, text = call("export", "--optuna", url, "--results", results)
    assert (code, out) == (2, "")
    assert text.count("\n") == 1
    assert "s3cret" not in text.replace("s3cretless", "")


def test_devices_of_gpus_that_are_not_there_are_refused(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there are GPUs here")
    code, _, text = call(
        *("study", "--study", "demo", "--loss", "contrastive", "--dataset", "glyphs"),
        *("--devices", "0,1", "--results", tmp_path / "results", "--data", tmp_path / "data"),
    )
    assert code == 2
    assert text.count("\n") == 1, "before minutes are spent on a dataset"
    assert "'cuda:0' is not there" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--slurm", "c.toml"), "--slurm is no option of --engine local; give it with --engine sl"),
        (("--ray-address", "h:1"), "--ray-address is no option of --engine local; give it with "),
        (("--gpus-per-run", "0.5"), "--gpus-per-run is no option of --engine local"),
        (("--engine", "slurm", "--devices", "0"), "--devices is no option of --engine slurm"),
        (("--engine", "slurm", "--workers", "4"), "--engine local or ray, or max_queued in --slu"),
        (("--engine", "ray", "--slots-per-gpu", "2"), "--slots-per-gpu is no option of --engine r"),
        (("--device", "cpu", "--devices", "0"), "--device and --devices both name GPUs"),
        (("--slots-per-gpu", "2", "--workers", "2"), "--workers and --slots-per-gpu both say"),
        (("--device", "cpu", "--slots-per-gpu", "2"), "on the CPU; give --workers instead"),
        (("--engine", "ray", "--gpus-per-run", "nan"), "nan is not a number of 0 or more"),
    ],
)
def test_an_option_that_the_engine_would_ignore_is_refused(tmp_path, given, said):
    words = ("study", "--study", "demo", "--loss", "contrastive", "--dataset", "glyphs")
    code, out, text = call(*words, "--results", tmp_path / "r", "--data", tmp_path / "d", *given)
    assert (code, out) == (2, "")
    assert said in text
    assert list(tmp_path.iterdir()) == []


def test_what_an_engine_lacks_is_said_before_a_dataset_is_read(tmp_path, monkeypatch):
    words = ("study", "--study", "demo", "--loss", "contrastive", "--dataset", "glyphs")
    words += ("--results", tmp_path / "results", "--data", tmp_path / "data", "--engine")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, text = call(*words, "slurm")
    assert (code, text.count("\n")) == (2, 1)
    assert "no sbatch, squeue, srun on this machine" in text or "pip install submitit" in text
    monkeypatch.setitem(sys.modules, "harness.engines.ray", None)
    code, _, text = call(*words, "ray")
    assert (code, text.count("\n")) == (2, 1)
    assert "python -m pip install ray" in text
    assert list(tmp_path.iterdir()) == []


def test_toml_that_is_nested_too_deeply_is_refused(tmp_path):
    path = tmp_path / "slurm.toml"
    path.write_text(f"a = {'[' * 100_000}")
    with pytest.raises(Problem, match=r"nested too deeply|not TOML"):
        slurm_options.read(path)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0, 2.0])
def test_ctrl_c_at_any_moment_of_the_start_up_shows_no_traceback(seconds, tmp_path):
    words = [sys.executable, "-m", "harness", "losses"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=HANGS)
    if "Traceback" in text:  # then Python itself was still starting, which no program can change
        begun = [line for line in text.splitlines() if f"harness{os.sep}" in line]
        assert all("__init__.py" in line or "__main__.py" in line for line in begun), text
    else:
        assert process.returncode in (0, 130, -signal.SIGINT)
