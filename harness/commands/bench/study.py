"""A whole smoke study on glyphs from one command to its table, against the same by hand."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.commands.bench import by_hand
from harness.commands.bench.metrics import ROOT
from harness.commands.bench.photographs import files_of
from harness.commands.bench.pml_training import Bench, train_one
from harness.commands.bench.timing import Comparison, Setting, in_turn, seconds
from harness.data.datasets import load
from harness.protocol import splits
from harness.records import folder, records
from harness.schema import Dataset, Problem
from studies.smoke import STUDY as SMOKE

DATASET, LOSS = "glyphs", "warped"
EQUAL = 0.005  # of a score: what float32 sums in another order become after a few dozen steps
Table = dict[str, dict[str, float]]


def measure(setting: Setting) -> list[Comparison]:
    """Wall seconds of the study, processes and imports included; data and caches are there.

    The trials that ours proposes are given to the baseline's Optuna, so that both train the same.
    """
    folder = setting.folder / "study"
    glyphs = load(DATASET, folder / "data", SMOKE.resize)
    files = files_of(glyphs, folder / "files")
    numbers = itertools.count()
    ours: list[Table] = []
    theirs: list[Table] = []
    setting.tell("study: once to warm up")
    our_study(folder, next(numbers), setting)
    trials = trials_of(folder / "results-0")
    loaders = _faster_loaders(glyphs, files, trials[0], setting)

    def one_of_ours() -> float:
        return seconds(
            lambda: ours.append(our_study(folder, next(numbers), setting)), setting.device
        )

    def one_of_theirs() -> float:
        place = folder / f"theirs-{next(numbers)}"
        return seconds(
            lambda: theirs.append(their_study(place, folder, files, trials, loaders, setting)),
            setting.device,
        )

    took = in_turn(one_of_ours, one_of_theirs, setting.rounds, warm_up=False)
    furthest = largest_difference(ours[-1], theirs[-1])
    verdict = "equal" if furthest <= EQUAL else "NOT EQUAL"
    return [
        Comparison(
            name="study", what=f"smoke on glyphs, end to end{by_hand.without_faiss()}",
            unit="s", ours=tuple(took[0]), baseline=tuple(took[1]),
            least_ratio=3.0 if by_hand.has_faiss() else None,
            notes=(
                f"scores are {verdict}: the two tables differ by at most {furthest:.1e}; the "
                f"baseline loads with {loaders} processes, the faster of 0 and one per core",
            ),
        )
    ]  # fmt: skip


def our_study(folder: Path, number: int, setting: Setting) -> Table:
    """Run the study by this harness's command line; the means of its table."""
    command = [
        *(sys.executable, "-m", "harness", "study", "--study", SMOKE.name, "--loss", LOSS),
        *("--dataset", DATASET, "--results", str(folder / f"results-{number}")),
        *("--data", str(folder / "data"), "--device", str(setting.device), "--quiet", "--json"),
    ]
    told = json.loads(_run(command).splitlines()[-1])
    return {
        row["loss"]: {f"{cell['category']} {cell['metric']}": cell["mean"] for cell in row["cells"]}
        for row in told["rows"]
    }


def trials_of(results: Path) -> list[dict[str, Any]]:
    """The params of the study's trials, in their order."""
    lines = records.read(folder.folder_of(results, SMOKE.name, DATASET) / f"{LOSS}.jsonl")
    found = {r.trial: dict(r.params) for r in lines.records if r.stage == "search"}
    return [found[number] for number in sorted(found)]


def their_study(
    place: Path,
    folder: Path,
    files: by_hand.Files,
    trials: list[dict[str, Any]],
    loaders: int,
    setting: Setting,
) -> Table:
    """Run the study by Optuna and PML in a process of its own; the means of its table."""
    place.mkdir()
    told = {
        "study": SMOKE.name,
        "dataset": DATASET,
        "loss": LOSS,
        "data": str(folder / "data"),
        "files": [(str(path), label) for path, label in files],
        "trials": trials,
        "device": str(setting.device),
        "loaders": loaders,
        "scores": str(place / "scores.json"),
    }
    (place / "study.json").write_text(json.dumps(told))
    code = "import sys; from harness.bench import their_study; their_study.child(sys.argv[1])"
    _run([sys.executable, "-c", code, str(place / "study.json")])
    scores: Table = json.loads((place / "scores.json").read_text())
    return scores


def _faster_loaders(
    glyphs: Dataset, files: by_hand.Files, params: dict[str, Any], setting: Setting
) -> int:
    """How many loader processes the baseline trains a fold with fastest: none, or one per core."""
    own = SMOKE.for_dataset(DATASET)
    place = setting.folder / "study" / "loaders"
    place.mkdir()
    bench = Bench(
        study=own,
        dataset=DATASET,
        loss=LOSS,
        files=files,
        trainval=splits.trainval_part(glyphs, own.halves),
        test=splits.test_part(glyphs, own.halves),
        device=setting.device,
        folder=place,
        loaders=0,
    )
    run = bench.run("search", 0, 0, params, fold=0)
    took = {}
    for loaders in (0, 0, by_hand.workers()):  # the first only warms up
        work = functools.partial(train_one, run, replace(bench, loaders=loaders))
        took[loaders] = seconds(work, setting.device)
    return min(took, key=lambda loaders: took[loaders])


def largest_difference(one: Table, other: Table) -> float:
    """The largest absolute difference between two tables of the same cells."""
    cells = {(loss, cell) for table in (one, other) for loss in table for cell in table[loss]}
    return max(abs(one[loss][cell] - other[loss][cell]) for loss, cell in cells)


def _run(command: list[str]) -> str:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise Problem(f"bench: a whole study failed: {last}")
    return ended.stdout
