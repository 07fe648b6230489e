"""Files in losses/ are programs: one that cannot be imported is named, and no other name is."""

from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution

from harness.commands import options
from harness.records import code
from harness.schema import Problem
from harness.training import loss_files
from tests.made import call


@pytest.fixture
def broken(monkeypatch):
    """losses/warped.py raises when it is imported."""
    real = loss_files.importlib.import_module

    def import_module(name):
        if name == "losses.warped":
            raise SystemExit("no such thing")
        return real(name)

    monkeypatch.setattr(loss_files.importlib, "import_module", import_module)


def test_a_file_that_cannot_be_imported_is_named_and_the_others_are_listed(broken):
    line = "losses/warped.py cannot be imported (SystemExit: no such thing); mend it"
    code, text, error = call("losses")
    assert code == 0
    assert "| contrastive " in text
    assert "| warped " not in text
    assert line in error
    code, text, error = call("losses", "warped")
    assert (code, text) == (2, "")
    assert line in error
    with pytest.raises(Problem, match="warped"):
        loss_files.module_of("warped")
    assert call("losses", "contrastive")[0] == 0


@pytest.mark.parametrize("name", ["os", "_shared", "", "..harness.cli", "a.b", "warped.py", "é x"])
def test_a_name_that_is_no_file_in_losses_is_never_imported(name, monkeypatch):
    imported = []
    monkeypatch.setattr(loss_files.importlib, "import_module", imported.append)
    with pytest.raises(ModuleNotFoundError):
        loss_files.module_of(name)
    assert imported == []


def test_a_file_whose_name_is_none_in_python_is_named(monkeypatch, tmp_path):
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / "my-loss.py").write_text("x = (\n")
    monkeypatch.setattr(loss_files, "CHECKOUT", tmp_path)
    with pytest.raises(Problem, match=r"^losses/my-loss\.py cannot be .* rename the file"):
        loss_files.module_of("my-loss")
    for name in ("../losses/my-loss", "my-loss.py", "my_loss", ""):
        with pytest.raises(ModuleNotFoundError):
            loss_files.module_of(name)


@pytest.fixture
def moved(monkeypatch, tmp_path):
    """A checkout with a link in losses/ to a file that is gone."""
    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / "here.py").write_text("X = 1\n")
    (tmp_path / "losses" / "gone.py").symlink_to(tmp_path / "elsewhere.py")
    for module in (options, loss_files):
        monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    return tmp_path


def test_a_link_to_a_file_that_is_gone_is_no_loss_and_is_named_where_it_is_asked_for(moved):
    assert options.names_in("losses") == ["here"]
    with pytest.raises(Problem, match=f"gone.py is a link to {moved / 'elsewhere.py'}, which is"):
        loss_files.module_of("gone")
    assert code.content_code(moved, ("losses",)) == code.content_code(moved, ("losses", "none"))


def test_what_is_searched_and_no_range_is_a_problem_before_a_study_begins(monkeypatch):
    warped = loss_files.module_of("warped")
    monkeypatch.setattr(warped, "SPACE", {**warped.SPACE, "scale": (0.0, 1.0)})
    with pytest.raises(Problem, match=r"the range of scale is \(0.0, 1.0\)"):
        loss_files.declared("warped")


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, float("inf")), (float("nan"), 1.0), (-1e308, 1e308)]
)
@pytest.mark.parametrize("space", ["SPACE", "FOLLOWUP"])
def test_a_range_without_an_end_is_a_problem_before_a_study_begins(monkeypatch, space, low, high):
    warped = loss_files.module_of("warped")
    monkeypatch.setattr(warped, space, {"scale": FloatDistribution(low, high)})
    with pytest.raises(
        Problem, match=f"the range of scale goes from {low:g} to {high:g}".replace("+", r"\+")
    ):
        loss_files.declared("warped")
