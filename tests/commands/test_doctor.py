"""What `doctor` says of a machine, and of what it lacks."""

from __future__ import annotations

import json

from harness.commands import doctor
from tests.made import call, scored, write_records


def test_it_shows_machine_versions_data_and_results_and_that_all_is_well(tmp_path):
    write_records(tmp_path / "results", "made", {"contrastive": scored("contrastive", [0.5] * 3)})
    (tmp_path / "data" / "cache" / "store").mkdir(parents=True)
    (tmp_path / "data" / "cache" / "store" / "pixels.u8").write_bytes(b"x" * 2_000_000)
    words = ("doctor", "--results", tmp_path / "results", "--data", tmp_path / "data")
    code, text, _ = call(*words)
    assert code == 0, text
    assert "tiny/made 1" in text
    assert "WILL NOT WORK" not in text
    code, text, _ = call(*words, "--json")
    report = json.loads(text)
    assert report["results"]["record_files"] == {"tiny/made": 1}
    assert report["data"]["caches"]["store"] >= 2.0
    assert report["packages"]["torch"] is not None
    assert report["will_not_work"] == []


def test_what_is_missing_is_named_with_its_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(doctor, "NEEDED", (*doctor.NEEDED, "no_such_package"))
    monkeypatch.setattr(doctor, "OPTIONAL", {"no_such_option": "--such OPTION"})
    monkeypatch.setattr(doctor, "LEAST_FREE", 1 << 60)
    code, text, _ = call("doctor", "--results", tmp_path, "--data", tmp_path / "data")
    assert code == 1
    faults = [line for line in text.splitlines() if line.startswith("WILL NOT WORK")]
    assert len(faults) == 3
    assert "no_such_package not installed: python -m pip install -r requirements.txt" in faults[0]
    assert "give a folder on another disk with --data" in faults[1]
    assert "--such OPTION needs: python -m pip install no_such_option" in text


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, text, _ = call("doctor", "--results", tmp_path / "file", "--data", tmp_path)
    assert code == 1
    assert "give another folder with --results" in text
