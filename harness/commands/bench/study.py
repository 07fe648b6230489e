"""A whole smoke study on glyphs from one command to its table, against the same by hand."""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.commands.bench import by_hand
from harness.commands.bench.agreement import Table, notes
from harness.commands.bench.photographs import files_of
from harness.commands.bench.pml_training import Inputs, train_one
from harness.commands.bench.processes import output_of
from harness.commands.bench.timing import Comparison, Setting, in_turn, seconds
from harness.data.datasets import load
from harness.protocol import splits
from harness.records import folder, records
from harness.schema import Dataset
from studies.smoke import STUDY as SMOKE

DATASET, LOSS = "glyphs", "warped"


def measure(setting: Setting) -> list[Comparison]:
    """Wall seconds of the study, processes and imports included; data and caches are there.

    The trials that ours proposes are given to the baseline's Optuna, so that both train the same.
    Whether both find the same scores is judged from their repeats and said in the notes.
    """
    place = setting.folder / "study"
    glyphs = load(DATASET, place / "data", SMOKE.resize)
    files = files_of(glyphs, place / "files")
    numbers = itertools.count()
    ours: list[Table] = []
    baseline: list[Table] = []
    setting.say("study: once to warm up")
    table_by_command(place, next(numbers), setting)
    trials = trials_of(place / "results-0")
    loaders = _faster_loaders(glyphs, files, trials[0], setting)

    def by_command() -> float:
        work = functools.partial(table_by_command, place, next(numbers), setting)
        return seconds(lambda: ours.append(work()), setting.device)

    def by_pml() -> float:
        work = functools.partial(
            table_by_pml,
            place / f"baseline-{next(numbers)}",
            data=place / "data",
            files=files,
            trials=trials,
            loaders=loaders,
            setting=setting,
        )
        return seconds(lambda: baseline.append(work()), setting.device)

    values = in_turn(by_command, by_pml, setting.rounds, warm_up=False)
    return [
        Comparison(
            name="study",
            what=f"smoke on glyphs, end to end{by_hand.without_faiss()}",
            unit="s",
            ours=tuple(values[0]),
            baseline=tuple(values[1]),
            least_ratio=3.0 if by_hand.has_faiss() else None,
            notes=(
                *notes(ours[-1], baseline[-1]),
                f"the baseline loads with {loaders} processes, the faster of 0 and one per core",
            ),
        )
    ]


def table_by_command(place: Path, number: int, setting: Setting) -> Table:
    """Run the study by this harness's command line; the scores of its table."""
    output = output_of(
        "a whole study",
        *("-m", "harness", "study", "--study", SMOKE.name, "--loss", LOSS, "--dataset", DATASET),
        *("--results", str(place / f"results-{number}"), "--data", str(place / "data")),
        *("--device", str(setting.device), "--quiet", "--json"),
    )
    table = json.loads(output.splitlines()[-1])
    return {
        row["loss"]: {
            f"{cell['category']} {cell['metric']}": list(cell["values"].values())
            for cell in row["cells"]
        }
        for row in table["rows"]
    }


def trials_of(results: Path) -> list[dict[str, Any]]:
    """The params of the study's trials, in their order."""
    path = folder.folder_of(results, SMOKE.name, DATASET) / f"{LOSS}.jsonl"
    searched = {
        record.trial: dict(record.params)
        for record in records.read(path).records
        if record.stage == "search"
    }
    return [searched[trial] for trial in sorted(searched)]


def table_by_pml(
    place: Path,
    *,
    data: Path,
    files: by_hand.Files,
    trials: list[dict[str, Any]],
    loaders: int,
    setting: Setting,
) -> Table:
    """Run the study by Optuna and PML in a process of its own; the scores of its table."""
    place.mkdir()
    description = {
        "study": SMOKE.name,
        "dataset": DATASET,
        "loss": LOSS,
        "data": str(data),
        "files": [(str(path), label) for path, label in files],
        "trials": trials,
        "device": str(setting.device),
        "loaders": loaders,
        "scores": str(place / "scores.json"),
    }
    (place / "study.json").write_text(json.dumps(description))
    code = "import sys; from harness.commands.bench import pml_study; pml_study.child(sys.argv[1])"
    output_of("a whole study by hand", "-c", code, str(place / "study.json"))
    table: Table = json.loads((place / "scores.json").read_text())
    return table


def _faster_loaders(
    glyphs: Dataset, files: by_hand.Files, params: dict[str, Any], setting: Setting
) -> int:
    """How many loader processes the baseline trains a fold with fastest: none, or one per core."""
    study = SMOKE.for_dataset(DATASET)
    place = setting.folder / "study" / "loaders"
    place.mkdir()
    inputs = Inputs(
        study=study,
        dataset=DATASET,
        loss=LOSS,
        files=files,
        trainval=splits.trainval_part(glyphs, study.halves),
        test=splits.test_part(glyphs, study.halves),
        device=setting.device,
        folder=place,
        loaders=0,
    )
    run = inputs.run("search", seed=0, trial=0, params=params, fold=0)
    durations = {}
    for loaders in (0, 0, by_hand.workers()):  # the first only warms up
        work = functools.partial(train_one, run, replace(inputs, loaders=loaders))
        durations[loaders] = seconds(work, setting.device)
    return min(durations, key=lambda loaders: durations[loaders])
