"""The way of a run: from the command `study` to the step of the training, without detours."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from torch.optim.optimizer import register_optimizer_step_pre_hook

import harness
import studies.smoke
from harness.schema import Run
from tests.commands import lightly
from tests.made import call, images

HARNESS = Path(harness.__file__).parent


def functions() -> list[str]:
    """The functions of the harness that are being called here, each one by the one before it."""
    frames = [(Path(frame.filename), frame.name) for frame in traceback.extract_stack()]
    return [
        f"{path.relative_to(HARNESS).as_posix()} {name}"
        for path, name in frames
        if path.is_relative_to(HARNESS)
    ]


def test_at_most_six_calls_lead_from_the_command_to_the_step(tmp_path, monkeypatch):
    to_the_process: list[str] = []
    to_the_step: list[str] = []
    submit = ProcessPoolExecutor.submit

    def submit_to_a_thread(executor, work, *words):
        """What a worker process would do, in a thread: it begins with no calls, as they do."""
        if not any(isinstance(word, Run) for word in words):
            return submit(executor, work, *words)
        to_the_process[:] = functions()
        result: Future = Future()
        thread = threading.Thread(target=lambda: result.set_result(work(*words)))
        thread.start()
        thread.join()
        return result

    def note_and_end_the_run(*_):
        to_the_step[:] = functions()
        raise RuntimeError("the step is reached")

    monkeypatch.setattr(studies.smoke, "STUDY", lightly.STUDY)
    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit_to_a_thread)
    hook = register_optimizer_step_pre_hook(note_and_end_the_run)
    try:
        folder = images(tmp_path / "images")
        words = ["study", "--study", "smoke", "--loss", "contrastive", "--trials", 1]
        words += ["--dataset", f"folder:{folder}", "--device", "cpu", "--workers", 1, "--quiet"]
        words += ["--data", tmp_path / "data", "--results", tmp_path / "results"]
        code, _, err = call(*words)
    finally:
        hook.remove()
    assert code == 2, err
    assert "the step is reached" in err
    command = to_the_process.index("commands/study.py run")
    way = [*to_the_process[command:], *to_the_step]
    assert way[-2:] == ["engines/execute.py execute", "training/train.py epochs"]
    assert len(way) - 1 <= 6, way
