"""Digests of code change with what can change a number, and with nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.records import code, provenance

LOSS = '''"""A loss."""
from losses._shared import check
SPACE = {"margin": 1.0}


class Loss:
    """The loss."""

    def forward(self, x):
        return check(x) + 1  # why
'''
SHARED = 'import math\nfrom . import _deep\n\n\ndef check(x):\n    """Docs."""\n    return x\n'
FILES = {
    "losses/mine.py": LOSS,
    "losses/_shared.py": SHARED,
    "losses/_deep.py": "HALF = 0.5\n",
    "losses/other.py": "SPACE = {}\n",
    "studies/mine.py": "STUDY = 1\n",
    "harness/a.py": "A = 1\n",
}


def written(root: Path, **changes: str) -> Path:
    """A checkout with FILES, of which some texts are replaced."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for old, new in changes.items():
            text = text.replace(*new.split(" => ")) if old in name else text
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"mine": "+ 1 => - 1"}, False),
        ({"mine": "1.0 => 2.0"}, False),
        ({"_shared": "return x => return -x"}, False),
        ({"_deep": "0.5 => 0.25"}, False),
        ({"other": "{} => {1: 2}"}, True),
        ({"mine": "# why => # because"}, True),
        ({"mine": "The loss. => What it is."}, True),
        ({"_shared": "Docs. => Words."}, True),
        ({"mine": "(x) + 1 => ( x )  +  1"}, True),
    ],
)
def test_a_loss_is_its_file_and_what_it_imports_without_words_and_layout(tmp_path, changes, same):
    before = code.loss_code("mine", written(tmp_path / "before"))
    assert before is not None
    assert len(before) == code.DIGITS
    assert (code.loss_code("mine", written(tmp_path / "after", **changes)) == before) == same


def test_a_loss_without_a_file_has_no_digest(tmp_path):
    assert code.loss_code("untrained", written(tmp_path)) is None
    assert code.study_code("nothing", tmp_path) is None
    assert code.study_code("mine", tmp_path) is not None


def test_every_byte_of_the_three_folders_counts_in_the_content(tmp_path):
    contents = {
        code.content_code(written(tmp_path / str(number), **changes))
        for number, changes in enumerate(
            [{}, {"harness": "A => B"}, {"studies": "1 => 2"}, {"other": "{} => {1: 2}"}]
        )
    }
    assert len(contents) == 4


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A committed checkout that provenance takes for its own."""
    root = written(tmp_path / "checkout")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    monkeypatch.setattr(provenance, "ROOT", root)
    provenance.code_version.cache_clear()
    yield root
    provenance.code_version.cache_clear()


def test_a_clean_checkout_is_its_commit(checkout):
    version = provenance.code_version()
    assert version.keys() == {"commit", "dirty"}
    assert (len(version["commit"]), version["dirty"]) == (40, False)


@pytest.mark.parametrize("name", ["losses/new.py", "studies/new.py", "harness/new.py"])
def test_a_file_that_git_does_not_track_makes_code_dirty(checkout, name):
    (checkout / name).write_text("x = 1\n")
    version = provenance.code_version()
    assert version["dirty"] is True
    assert version["content"] == code.content_code(checkout)


def test_a_file_outside_the_code_that_git_does_not_track_does_not(checkout):
    (checkout / "notes.txt").write_text("x")
    assert provenance.code_version()["dirty"] is False


def test_a_changed_tracked_file_makes_code_dirty_wherever_it_lies(checkout):
    (checkout / "losses/mine.py").write_text("SPACE = {}\n")
    assert provenance.code_version()["dirty"] is True


def test_a_loss_at_a_commit_is_what_it_was_then(checkout):
    commit = provenance.code_version()["commit"]
    then = code.loss_code("mine", checkout)
    written(checkout, mine="+ 1 => - 1")
    assert code.loss_code_at(commit, "mine", checkout) == then
    assert code.loss_code_at("0" * 40, "mine", checkout) is None
    assert code.loss_code_at(commit, "nothing", checkout) is None


def test_without_git_or_where_it_refuses_the_owner_code_is_its_content(checkout, monkeypatch):
    content = code.content_code(checkout)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    reasons = {"git refuses the checkout, which another user owns": lambda: None}
    reasons["git is not installed"] = lambda: monkeypatch.setenv("PATH", "")
    reasons["no git checkout"] = lambda: (checkout / ".git").rename(checkout / "elsewhere")
    for reason, make in reasons.items():
        make()
        provenance.code_version.cache_clear()
        expected = {"commit": f"content {content} ({reason})", "dirty": None, "content": content}
        assert provenance.code_version() == expected
