"""Forged, mixed and unfinished records: `check`, `verify` and `table` find them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.records import folder
from harness.records.content import sealed_line
from studies.smoke import STUDY as SMOKE
from tests.made import TINY, call, images, run

Fields = dict[str, Any]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """The root of a finished tiny study: its images and its results."""
    root = tmp_path_factory.mktemp("honest")
    run(TINY, images(root / "images", classes=16), root / "results", losses=("warped",))
    return root


@pytest.fixture
def results(honest, tmp_path):
    """A copy of its results, to forge."""
    return Path(shutil.copytree(honest / "results", tmp_path / "results"))


def path_of(results: Path, loss: str = "warped") -> Path:
    (path,) = results.glob(f"*/*/{loss}.jsonl")
    return path


def lines_of(path: Path) -> list[Fields]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, lines: list[Fields], *, sealed: bool = True) -> None:
    """Write the lines, with digests of what they hold now or with those they had."""
    plain = (json.dumps(fields).encode() + b"\n" for fields in lines)
    path.write_bytes(b"".join(map(sealed_line, lines) if sealed else plain))


def first(lines: list[Fields], stage: str) -> Fields:
    return next(fields for fields in lines if fields["stage"] == stage)


def better_score(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["scores"]["map_at_r"] = 0.9
    return fields


def half_the_learning_rate(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["params"]["lr"] /= 2
    return fields


def half_the_learning_rate_of_trials(lines: list[Fields], *, winner: bool) -> Fields:
    chosen = first(lines, "repeat")["trial"]
    of_search = [each for each in lines if each["stage"] == "search"]
    forged = next(each for each in of_search if (each["trial"] == chosen) == winner)
    for each in of_search:
        if each["trial"] == forged["trial"]:
            each["params"]["lr"] /= 2
    return forged


def half_the_learning_rate_of_the_winner(lines: list[Fields]) -> Fields:
    return half_the_learning_rate_of_trials(lines, winner=True)


def half_the_learning_rate_of_another_trial(lines: list[Fields]) -> Fields:
    return half_the_learning_rate_of_trials(lines, winner=False)


ON_TRIALS = [half_the_learning_rate_of_the_winner, half_the_learning_rate_of_another_trial]


def a_score_deleted(lines: list[Fields]) -> Fields:
    fields = first(lines, "repeat")
    del fields["scores"]["recall_at_2"]
    return fields


def other_sums_by_class(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["by_class"]["map_at_r"][0] += 0.5
    return fields


def another_seed(lines: list[Fields]) -> Fields:
    fields = first(lines, "ensemble")
    fields["seed"] += 1
    return fields


def a_hand_picked_run(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["seed"], fields["epochs"] = 12345, [30, 10]
    fields["params"]["lr"] = 1e-4
    fields["key"] = "-".join([*fields["key"].split("-")[:-1], "e30+10"])
    return fields


def other_epochs_of_complete(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["epochs"] = [fields["epochs"][0] + 1, fields["epochs"][1]]
    return fields


def of_another_study(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["provenance"]["study"] = "0" * 12
    return fields


def of_another_loss(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["loss"] = "contrastive"
    return fields


def of_other_images(lines: list[Fields]) -> Fields:
    fields = first(lines, "complete")
    fields["provenance"]["dataset"] = "beef"
    return fields


ON_TABLES = [
    better_score,
    half_the_learning_rate,
    a_score_deleted,
    other_sums_by_class,
    another_seed,
    a_hand_picked_run,
    other_epochs_of_complete,
    of_another_study,
    of_another_loss,
    of_other_images,
]


def checked(results: Path) -> tuple[int, list[Fields]]:
    """The exit code and the findings of `check`."""
    code, out, err = call("check", results, "--json")
    assert err == ""
    return code, json.loads(out)["findings"]


def verified(results: Path, honest: Path, key: str) -> tuple[int, str]:
    where = path_of(results).parent
    name = f"{where.parent.name}/{where.name}/warped/{key}"
    words = ("verify", name, "--results", results, "--data", honest / "data", "--device", "cpu")
    return call(*words)[:2]


def test_an_honest_study_has_no_findings(honest, results):
    assert checked(results) == (0, [])
    code, out, _ = call("check", "--results", results)
    assert code == 0
    assert out.startswith("36 records in 1 folders checked: nothing is wrong; ")
    study = path_of(results).parents[1].name
    assert call("check", "--results", results, "--study", study) == (0, out, "")
    code, _, err = call("check", f"{study}/x", "--results", results, "--study", study)
    assert (code, "give one of them" in err) == (2, True)
    code, out, _ = call("table", "--results", results)
    assert "Checked of 36 records: " in out
    assert "LEFT OUT" not in out
    assert "MIXED" not in out


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("forge", [*ON_TABLES, *ON_TRIALS])
def test_every_forgery_is_found_without_training_even_with_a_new_digest(
    honest, results, forge: Callable[[list[Fields]], Fields], sealed
):
    path = path_of(results)
    lines = lines_of(path)
    key = forge(lines)["key"]
    write(path, lines, sealed=sealed)
    code, findings = checked(results)
    assert code == 1
    kind = "underivable" if sealed else "altered"
    assert findings[0]["kind"] == kind
    assert key in findings[0]["what"]
    assert "take those lines out" in findings[0]["advice"]
    code, out = verified(results, honest, key)
    assert code == 1
    assert ": underivable\n" in out
    if forge in ON_TABLES or not sealed:
        code, out, _ = call("table", "--results", results)
        assert code == 0
        folds, final_runs = 4, sum(fields["stage"] != "search" for fields in lines)
        # Without the folds of the winner there is nothing that its final runs could derive from.
        left_out = {
            half_the_learning_rate_of_another_trial: folds,
            half_the_learning_rate_of_the_winner: folds + final_runs,
        }
        assert f"LEFT OUT of warped: {left_out.get(forge, 1)} records" in out


def test_a_better_score_that_fits_everything_else_is_found_by_training(honest, results):
    path = path_of(results)
    lines = lines_of(path)
    fields = first(lines, "complete")
    fields["scores"]["map_at_r"] += 0.01
    del fields["by_class"]
    write(path, lines)
    code, out = verified(results, honest, fields["key"])
    assert code == 1
    assert ": different\n  map_at_r: -1.000e-02\n" in out


def test_a_line_twice_is_found_and_counts_once(results):
    path = path_of(results)
    lines = lines_of(path)
    before = call("table", "--results", results, "--format", "csv")[1]
    write(path, [*lines, first(lines, "repeat")])
    code, (finding,) = checked(results)
    assert (code, finding["kind"]) == (1, "duplicate")
    assert "already recorded on line 13" in finding["what"]
    after = call("table", "--results", results, "--format", "csv")[1]
    numbers = [line for line in before.splitlines() if not line.startswith("#")]
    assert numbers == [line for line in after.splitlines() if not line.startswith("#")]
    assert "LEFT OUT of warped: 1 records" in after


def test_a_record_of_another_loss_in_the_file_is_found(results):
    path = path_of(results)
    stranger = lines_of(path_of(results, "untrained"))[-1]
    write(path, [*lines_of(path), stranger])
    code, (finding,) = checked(results)
    assert (code, finding["kind"]) == (1, "underivable")
    assert "/untrained, and lies in the file of " in finding["what"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"threads": 2}, "threads"),
        ({"loss_code": "0" * 12}, "code of the loss"),
        ({"device": "cuda: x"}, "device"),
    ],
)
def test_a_mixture_is_found_and_named_in_the_table(results, change, name):
    path = path_of(results)
    lines = lines_of(path)
    for fields in lines[5:9]:
        fields["provenance"] |= change
    write(path, lines)
    code, findings = checked(results)
    assert (code, [finding["kind"] for finding in findings]) == (1, ["mixed"])
    assert findings[0]["what"].startswith(f"{name}: ")
    assert "--fresh" in findings[0]["advice"]
    out = call("table", "--results", results)[1]
    assert f"MIXED: the row warped averages records of unlike making: {name} " in out


def unfinished(path: Path) -> None:
    write(path, lines_of(path)[:-1])


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def unreadable(path: Path) -> None:
    lines = lines_of(path)
    lines[3]["scores"]["map_at_r"] = 1.5
    write(path, lines)


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (unfinished, ["incomplete"]),
        (torn, ["torn", "incomplete"]),
        (unreadable, ["unreadable"]),
        (Path.unlink, ["incomplete"]),
    ],
)
def test_what_is_unfinished_torn_or_unreadable_is_found_with_what_to_do(results, damage, kinds):
    for path in path_of(results).parent.glob("*.jsonl"):
        damage(path)
    code, findings = checked(results)
    assert code == 1
    assert set(kinds) == {finding["kind"] for finding in findings}
    assert all(finding["advice"] for finding in findings)


def test_what_goes_on_with_an_unfinished_study_gives_the_options_that_it_was_begun_with(tmp_path):
    begun = replace(SMOKE.for_dataset("glyphs"), trials=SMOKE.trials + 1)
    where = tmp_path / "results" / "smoke" / "glyphs"
    folder.create(where)
    folder.admit(where, folder.describe(begun, "glyphs", "glyphs", "x"))
    (finding,) = checked(tmp_path / "results")[1]
    options = f"--trials {begun.trials} --results {tmp_path / 'results'}"
    assert finding["advice"] == (
        f"run it: python -m harness study --study smoke --dataset glyphs {options}"
    )


def test_a_study_json_that_was_edited_is_found(results):
    path = path_of(results).with_name("study.json")
    description = json.loads(path.read_text())
    description["study"]["weight_decay"] = 0.5
    path.write_text(json.dumps(description))
    code, findings = checked(results)
    assert code == 1
    assert findings[0]["kind"] == "study"
    assert "study.json's digest is" in findings[0]["what"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"run_hours": 3.0, "diagnostics": ("nmi",), "repeats": 9}, 0), ({"momentum": 0.5}, 1)],
)
def test_what_leaves_a_study_s_digest_as_it_is_does_not_make_it_another(
    tmp_path, changes, expected
):
    where = tmp_path / "smoke" / "glyphs"
    where.mkdir(parents=True)
    study = replace(SMOKE.for_dataset("glyphs"), **changes)
    description = folder.describe(study, "glyphs", "glyphs", "x")
    (where / "study.json").write_text(json.dumps(description))
    code, out, _ = call("check", "--results", tmp_path)
    assert code == 1  # it has no records
    assert out.count("studies/smoke.py has changed since") == expected, out


def names(honest: Path) -> Iterator[tuple[object, ...]]:
    (where,) = (honest / "results").glob("*/*")
    yield (honest / "results",)
    yield (where,)
    yield (f"tiny/{where.name}", "--results", honest / "results")
    yield (f"tiny/folder:{honest}/images", "--results", honest / "results")


def test_records_are_named_by_folder_or_by_study_and_dataset(honest, tmp_path):
    for words in names(honest):
        code, out, err = call("check", *words)
        assert (code, err) == (0, "")
        assert out.startswith("36 records in 1 folders")
    for wrong in ("nothing", "tiny/nothing"):
        code, out, err = call("check", wrong, "--results", tmp_path)
        assert (code, out) == (2, "")
        assert f"no records '{wrong}'" in err
