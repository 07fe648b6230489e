"""A loss of one's own: the file that `losses new` writes, and what `losses check` says."""

from __future__ import annotations

import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from harness.commands import own_losses
from harness.files import CHECKOUT
from harness.schema import Problem
from harness.training.loss_check import shortfalls
from harness.training.loss_files import module_of
from tests.made import call


def module_from(text: str) -> types.ModuleType:
    module = types.ModuleType("mine")
    exec(compile(text, "mine.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize("kind", own_losses.KINDS)
def test_the_file_that_new_writes_keeps_the_contract(kind):
    assert shortfalls(module_from(own_losses.text_of("my_own_loss", kind))) == []


@pytest.mark.parametrize("name", ["warped", "contrastive"])
def test_published_losses_keep_the_contract(name):
    assert shortfalls(module_of(name)) == []


@pytest.mark.parametrize(
    ("kind", "old", "new", "sentence"),
    [
        ("pair", 'STATUS = "own"\n', "", 'STATUS is missing; a line that would do: STATUS = "own"'),
        ("pair", 'KIND = "pair"', 'KIND = "pairs"', "KIND = 'pairs' must be one of pair, proxy"),
        ("pair", "YEAR = 20", "YEAR = 0.5 + 20", "must be of type int"),
        ("pair", "class Loss", "class Lost", "there is no class Loss"),
        ("pair", "margin: float = 0.2", "margin: float", "margin of Loss has no default"),
        ("pair", "self, *, n_classes", "self, n_classes", "keyword-only"),
        ("pair", 'SPACE = {"margin"', 'SPACE = {"margn"', "margn stands in SPACE or FIXED"),
        ("pair", 'SOURCES = {"margin": "a guess, to begin with"}', "SOURCES = {}", "SOURCES says"),
        ("pair", "OWN_PARAMETERS = False", "OWN_PARAMETERS = True", "Loss has no parameters"),
        ("proxy", "OWN_PARAMETERS = True", "OWN_PARAMETERS = False", "parameters of its own"),
        ("pair", ".clamp_min(0.0).mean()", ".clamp_min(0.0)", "not one number (end with .mean())"),
        ("pair", ".clamp_min(0.0).mean()", ".mean().item()", "forward gives float"),
        ("pair", ".clamp_min(0.0).mean()", ".log().mean()", "the loss is nan"),
        (
            "pair",
            "embeddings @ embeddings.T",
            "-(embeddings[:, None] - embeddings).square().sum(2).sqrt()",
            "a gradient is NaN or infinite",
        ),
        (
            "pair",
            "embeddings @ embeddings.T",
            "embeddings.detach() @ embeddings.detach().T",
            "no batch gives a gradient",
        ),
        (
            "pair",
            "hardest_negative - hardest_positive",
            "hardest_positive - hardest_negative",
            "sign",
        ),
        (
            "pair",
            "hardest_negative - hardest_positive",
            "hardest_negative + hardest_positive",
            "is the sign of the term that pulls a class together right?",
        ),
        ("pair", "self.margin).", "self.margin * torch.rand(())).", None),
        ("pair", ".mean()", "[0]", "the order of the batch changes the value"),
        ("proxy", "randn(n_classes, dim)", "randn(n_classes, round(dim * scale / 16))", "fails"),
        (
            "pair",
            "\nclass Loss(nn.Module)",
            "\nLoss = 3\n\n\nclass Lost(nn.Module)",
            "no class Loss",
        ),
        (
            "pair",
            "MIN_IMAGES_PER_CLASS = 2",
            "MIN_IMAGES_PER_CLASS = 0",
            "MIN_IMAGES_PER_CLASS = 0",
        ),
        ("pair", "FloatDistribution(0.0, 1.0)", "(0.0, 1.0)", "use FloatDistribution(low, high)"),
        ("pair", "embeddings @ embeddings.T", "embeddings.mul_(0.5) @ embeddings.T", "in place"),
        (
            "proxy",
            "    def forward(",
            "    def groups(self):\n        return [self.proxies]\n\n    def forward(",
            "groups() gives Parameter; a list of {'params': [...], 'lr_factor': 1.0}",
        ),
    ],
)
def test_what_is_broken_is_said_in_a_sentence_that_names_it(kind, old, new, sentence):
    text = own_losses.text_of("my_own_loss", kind)
    assert old in text
    lines = shortfalls(module_from(text.replace(old, new, 1)))
    if sentence is None:  # a draw of torch's own, with the seed of the run, is a loss's right
        assert lines == []
    else:
        assert any(sentence in line for line in lines), lines


@pytest.mark.parametrize("fault", ["Loss = len", "Loss = print"])
def test_a_loss_that_is_no_class_is_named_and_the_others_are_listed(monkeypatch, fault):
    text = own_losses.text_of("my_own_loss", "pair").replace("class Loss(", "class Lost(")
    module = module_from(f"{text}\n{fault}\n")
    assert any("there is no class Loss(nn.Module)" in line for line in shortfalls(module))


def test_no_loss_can_be_called_all(tmp_path):
    code, _, err = call("losses", "new", "all")
    assert (code, "'all' cannot be a loss's name: it means something else" in err) == (2, True)


@pytest.fixture
def checkout(tmp_path):
    """A checkout of one's own, in which files may be written."""
    for folder in ("harness", "losses", "studies"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / folder, tmp_path / "checkout" / folder, ignore=ignore)
    return tmp_path / "checkout"


def harness(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True)


def test_a_new_file_is_a_loss_at_once_and_is_never_written_over(checkout):
    made = harness(checkout, "losses", "new", "mine", "--kind", "proxy")
    assert made.returncode == 0, made.stderr
    assert "losses check mine" in made.stdout
    page = harness(checkout, "losses", "mine")
    assert "implemented: somebody's own, unpublished" in page.stdout, page.stderr
    again = harness(checkout, "losses", "new", "mine")
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    assert "losses/mine.py exists" in again.stderr


@pytest.mark.parametrize(
    "name", ["check", "Mine", "my-loss", "_mine", "class", "untrained", "lda", "../x"]
)
def test_a_name_that_no_file_of_losses_can_have_is_refused(checkout, name):
    refused = harness(checkout, "losses", "new", name)
    assert refused.returncode == 2
    assert "cannot be a loss's name" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The path of a loss file, and that of its link in an empty losses/."""
    monkeypatch.setattr(own_losses.files, "CHECKOUT", tmp_path / "checkout")
    (tmp_path / "checkout" / "losses").mkdir(parents=True)
    mine = tmp_path / "elsewhere" / "mine.py"
    mine.parent.mkdir()
    mine.write_text(own_losses.text_of("mine", "pair"))
    return mine, tmp_path / "checkout" / "losses" / "mine.py"


def link_of(path: Path) -> list[str]:
    """The lines that are shown once a file is accepted."""
    lines: list[str] = []
    with own_losses.linked(["warped", str(path)]) as accepted:
        accepted(lines.append)
    return lines


def test_a_file_elsewhere_becomes_a_loss_by_a_link(elsewhere, tmp_path):
    mine, link = elsewhere
    assert own_losses.names_of(["warped", str(mine)]) == ["warped", "mine"]
    with pytest.raises(Problem, match="there is no loss file"):
        link_of(tmp_path / "none.py")
    assert link_of(mine) == [f"losses/mine.py is now a link to {mine}"]
    assert link.resolve() == mine
    assert link_of(mine) == []
    other = tmp_path / "mine.py"
    other.write_text("")
    with pytest.raises(Problem, match="mine.py is another loss".replace(".", r"\.")):
        link_of(other)
    assert link.resolve() == mine
    mine.unlink()  # then its link leads nowhere, and the name is free
    assert link_of(other) == [f"losses/mine.py is now a link to {other}"]
    assert link.resolve() == other


def refused(files: list[str], link: Path) -> None:
    with own_losses.linked(files):
        assert link.is_file()
        raise Problem("no such dataset")


def test_losses_stay_as_they_were_where_a_command_is_refused_before_it_accepts_them(elsewhere):
    mine, link = elsewhere
    gone = mine.with_name("gone.py")
    for before in (None, gone):
        if before is not None:
            link.symlink_to(before)
        for files in ([str(mine)], [str(mine), str(gone)]):
            with pytest.raises(Problem):
                refused(files, link)
            assert (link.readlink() if link.is_symlink() else None) == before


def test_a_link_that_was_there_before_stays_where_a_command_is_refused(elsewhere):
    mine, link = elsewhere
    link_of(mine)
    with pytest.raises(Problem):
        refused([str(mine)], link)
    assert link.resolve() == mine


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("import nosuchmodule\n", ("losses", "check", "FILE"), "cannot be imported"),
        ("import nosuchmodule\n", ("study", "--loss", "FILE"), "cannot be imported"),
        ("", ("study", "--loss", "FILE"), "PAPER is missing"),
        (None, ("study", "--loss", "FILE", "--dataset", "nosuch"), "no dataset 'nosuch'"),
        (None, ("losses", "compare", "FILE", "--dataset", "nosuch"), "no dataset 'nosuch'"),
        (None, ("study", "--loss", "FILE", "--device", "cuda:77"), "cuda:77"),
    ],
)
def test_a_refused_command_leaves_no_link(checkout, tmp_path, text, words, line):
    mine = tmp_path / "mine.py"
    mine.write_text(own_losses.text_of("mine", "pair") if text is None else text)
    where = ("--results", str(tmp_path / "results"), "--study", "smoke")
    given = [str(mine) if word == "FILE" else word for word in words]
    refused = harness(checkout, *given, *(where if words[0] == "study" else ()))
    assert refused.returncode == 2, refused.stderr
    assert line in refused.stderr
    assert not (checkout / "losses" / "mine.py").is_symlink()


@pytest.mark.slow
def test_another_process_finds_a_file_elsewhere_by_its_link(checkout, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(own_losses.text_of("mine", "pair"))
    ended = harness(checkout, "losses", "check", str(mine))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "losses/mine.py keeps the contract" in ended.stdout
    assert (checkout / "losses" / "mine.py").resolve() == mine


@pytest.mark.parametrize("as_buffer", [True, False])
def test_what_changes_from_batch_to_batch_must_be_in_the_state(as_buffer):
    """Otherwise a run that was interrupted goes on with other numbers than one that was not."""
    kept = 'self.register_buffer("seen", torch.zeros(()))' if as_buffer else "self.seen = 0.0"
    text = own_losses.text_of("my_own_loss", "pair")
    text = text.replace(
        "        self.margin = margin\n", f"        self.margin = margin\n        {kept}\n"
    )
    counted = "        self.seen = self.seen + 1\n        similarity = embeddings @ embeddings.T\n"
    text = text.replace("        similarity = embeddings @ embeddings.T\n", counted)
    text = text.replace("+ self.margin)", "+ self.margin / (1 + 0.01 * self.seen))")
    lines = shortfalls(module_from(text))
    if as_buffer:
        assert lines == []
    else:
        assert len(lines) == 1
        assert "keep what changes from batch to batch, and what is drawn, in buffers" in lines[0]
