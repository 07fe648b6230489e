"""emoji: fetched by npm or from a CDN, drawn, divided; on tiny sets in Iconify's exact format."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import resvg_py
from PIL import Image

from harness.data import drawn, fetch
from harness.data.check import check
from harness.data.datasets import emoji
from harness.data.listing import Counts, File, Listing, Source
from harness.data.store import decode
from harness.schema import Problem

SETS = ("noto", "noto-v1", "twemoji", "openmoji", "fluent-emoji-flat", "emojione", "fxemoji")
COLOURS = ("#ff0000", "#00ff00", "#0000ff", "#ff8800", "#8800ff", "#008888", "#880000")
CLASSES = {"red-heart": 7, "waving-hand": 7, "e-mail": 7, "top-hat": 6}
FAKE_NPM = """#!/bin/sh
for spec in "$@"; do :; done
echo "$spec" >>"{shelf}/calls"
cp "{shelf}/$(echo "$spec" | tr '/@' '__').tgz" . 2>/dev/null && exit 0
echo "npm error code E404" >&2
echo "npm error 404 $spec is not in this registry" >&2
exit 1
"""


def icon_set(name: str, colour: str) -> dict[str, Any]:
    """One set: a left half in its colour, variants that are no class, names spelt its own way."""
    half = f'<rect width="8" height="16" fill="{colour}"/>'
    names = ["red-heart", "waving-hand", "e-mail"]
    if name == "fxemoji":
        names = ["redheart", "wavinghand", "email"]
    icons: dict[str, Any] = {icon: {"body": half} for icon in names}
    for variant in ("waving-hand-dark-skin-tone", "man-baker", "flag-france", "red-square"):
        icons[variant] = {"body": half}
    if name != "noto-v1":
        wide = f'<rect x="4" y="4" width="32" height="16" fill="{colour}"/>'
        icons["top-hat"] = {"body": wide, "left": 4, "top": 4, "width": 32, "height": 16}
    if name not in ("noto-v1", "twemoji"):
        icons["rare-bird"] = {"body": half}  # in five sets only
    return {"prefix": name, "icons": icons, "aliases": {"post": {"parent": names[2]}}}


@pytest.fixture
def icons(tmp_path: Path) -> Path:
    """A folder with SET.json of every tiny set."""
    folder = tmp_path / "icons"
    folder.mkdir()
    for name, colour in zip(SETS, COLOURS, strict=True):
        (folder / f"{name}.json").write_text(json.dumps(icon_set(name, colour)))
    return folder


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts(images=sum(CLASSES.values()), classes=len(CLASSES))
    monkeypatch.setattr(emoji, "COUNTS", counts)


def source(name: str, address: str, icons: Path) -> Source:
    """A source of the tiny sets; `address` ends where the name of a set follows."""
    files = []
    for path in sorted(icons.glob("*.json")):
        content = path.read_bytes()
        url = address.replace("SET", path.stem)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        files.append(File(path.name, url, digest, len(content)))
    return Source(name, tuple(files))


@pytest.fixture
def npm(tmp_path: Path, icons: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf of npm packages and an `npm` first on the PATH that packs from it."""
    shelf, programs = tmp_path / "shelf", tmp_path / "programs"
    shelf.mkdir()
    programs.mkdir()
    for path in icons.glob("*.json"):
        with tarfile.open(shelf / f"_tiny_{path.stem}_1.0.0.tgz", "w:gz") as archive:
            for name, content in {"package.json": b"{}", "icons.json": path.read_bytes()}.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    (programs / "npm").write_text(FAKE_NPM.format(shelf=shelf))
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return shelf


def fetched(root: Path, *sources: Source) -> tuple[bool, str]:
    """Whether emoji is whole in `root` after a fetch, and what that said."""
    lines: list[str] = []
    whole = fetch.fetch("emoji", emoji, root, say=lines.append, sources=sources)
    return whole, "\n".join(lines)


def by_npm(icons: Path) -> Source:
    return source("npm", "npm:@tiny/SET@1.0.0/icons.json", icons)


def from_cdn(icons: Path) -> Source:
    return source("the CDN", f"{icons.as_uri()}/SET.json", icons)


def built(tmp_path: Path, icons: Path) -> tuple[Path, Listing]:
    """The folder in which the tiny sets are drawn, and its listing."""
    root = tmp_path / "built"
    emoji.build(sorted(icons.glob("*.json")), root, lambda _: None)
    return root, emoji.listing(root)


def test_npm_brings_the_sets_which_are_drawn_into_a_folder_per_emoji(
    tmp_path: Path, icons: Path, npm: Path
) -> None:
    root = tmp_path / "emoji"
    whole, text = fetched(root, by_npm(icons))
    assert whole
    assert "emoji: downloading from npm" in text
    assert "emoji: 27 images, 4 classes in" in text
    assert [item.name for item in root.iterdir()] == ["images"]
    drawings = sorted(
        path.relative_to(root / "images").parts for path in root.glob("images/*/*.png")
    )
    assert {name for name, _ in drawings} == set(CLASSES)
    assert [file for name, file in drawings if name == "e-mail"] == sorted(
        f"{name}.png" for name in SETS
    )
    assert ("top-hat", "noto-v1.png") not in drawings
    calls = (npm / "calls").read_text().split()
    assert sorted(calls) == sorted(f"@tiny/{name}@1.0.0" for name in SETS)


def test_a_drawing_fills_its_box_and_stands_in_the_middle_of_white(
    tmp_path: Path, icons: Path
) -> None:
    root, _ = built(tmp_path, icons)
    square = decode(root / "images" / "e-mail" / "twemoji.png")
    assert square.shape == (256, 256, 3)
    np.testing.assert_array_equal(square[:, :128], np.broadcast_to([0, 0, 255], (256, 128, 3)))
    assert (square[:, 128:] == 255).all()
    wide = decode(root / "images" / "top-hat" / "twemoji.png")
    np.testing.assert_array_equal(wide[64:192], np.broadcast_to([0, 0, 255], (128, 256, 3)))
    assert (wide[:64] == 255).all()
    assert (wide[192:] == 255).all()


def test_another_digest_is_refused_and_the_next_source_is_used_and_named(
    tmp_path: Path, icons: Path, npm: Path
) -> None:
    first = by_npm(icons)
    content = (icons / "openmoji.json").read_text()
    (icons / "openmoji.json").write_text(content.replace("#ff8800", "#ff8801"))
    whole, text = fetched(tmp_path / "emoji", by_npm(icons), first)
    assert whole
    assert "openmoji.json has the sha256" in text
    assert text.index("from npm: ") < text.rindex("downloading from npm")
    assert decode(tmp_path / "emoji/images/e-mail/openmoji.png")[0, 0].tolist() == [255, 136, 0]


def test_a_file_of_another_size_is_refused_with_both_sizes(tmp_path: Path, icons: Path) -> None:
    size = (icons / "noto.json").stat().st_size
    cdn = from_cdn(icons)
    (icons / "noto.json").write_text("{}")
    whole, text = fetched(tmp_path / "emoji", cdn)
    assert not whole
    assert f"noto.json has 2 bytes instead of {size}" in text.replace(",", "")


def test_without_npm_the_cdn_is_used(
    tmp_path: Path, icons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    whole, text = fetched(tmp_path / "emoji", by_npm(icons), from_cdn(icons))
    assert whole
    assert "emoji: from npm: no npm is installed here" in text
    assert "emoji: downloading from the CDN" in text


def test_without_npm_and_cdn_the_steps_by_hand_are_said_and_nothing_is_left(
    tmp_path: Path, icons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    dead = source("the CDN", "http://127.0.0.1:9/SET.json", icons)
    root = tmp_path / "emoji"
    whole, text = fetched(root, by_npm(icons), dead)
    assert not whole
    assert "no npm is installed here" in text
    assert "http://127.0.0.1:9/emojione.json broke off after 0 bytes" in text
    assert f"put it at {root}/SET.json" in text
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_what_npm_says_of_a_failure_is_said_in_one_line(
    tmp_path: Path, icons: Path, npm: Path
) -> None:
    (npm / "_tiny_noto_1.0.0.tgz").unlink()
    _, text = fetched(tmp_path / "emoji", by_npm(icons))
    line = next(line for line in text.splitlines() if "from npm: " in line)
    assert "@tiny/noto@1.0.0` failed with exit code 1: npm error code E404; npm error 404" in line


def test_a_damaged_package_is_refused(tmp_path: Path, icons: Path, npm: Path) -> None:
    archive = npm / "_tiny_noto_1.0.0.tgz"
    archive.write_bytes(archive.read_bytes()[:-40])
    assert "is no whole archive" in fetched(tmp_path / "a", by_npm(icons))[1]
    with tarfile.open(archive, "w:gz"):
        pass
    assert "holds no file package/icons.json" in fetched(tmp_path / "b", by_npm(icons))[1]
    assert not list(tmp_path.glob("[ab]/images"))


def test_an_interrupted_fetch_starts_to_draw_again_and_downloads_nothing_twice(
    tmp_path: Path, icons: Path, npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "emoji"
    real = resvg_py.svg_to_bytes
    calls = []

    def interrupted(**options: Any) -> bytes:
        calls.append(options)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return real(**options)

    with monkeypatch.context() as patch:
        patch.setattr(resvg_py, "svg_to_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetched(root, by_npm(icons))
    assert not (root / "images").exists()
    torn = root / ".unpacking" / "images" / "half-a-class" / "noto.png"  # as kill -9 leaves it
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"\x89PNG")
    assert fetched(root, by_npm(icons))[0]
    assert [item.name for item in root.iterdir()] == ["images"]
    assert {item.name for item in (root / "images").iterdir()} == {*CLASSES, drawn.DIGEST}
    assert len((npm / "calls").read_text().split()) == len(SETS)


def test_files_placed_by_hand_are_checked_drawn_and_kept(tmp_path: Path, icons: Path) -> None:
    root = tmp_path / "emoji"
    root.mkdir()
    for path in icons.glob("*.json"):
        (root / path.name).write_bytes(path.read_bytes())
    nowhere = source("by hand", "npm:@tiny/SET@1.0.0/icons.json", icons)
    whole, text = fetched(root, nowhere)
    assert whole
    assert "no longer needed: emojione.json, fluent-emoji-flat.json" in text
    assert (root / "noto.json").is_file()


def test_without_the_drawing_package_nothing_is_downloaded(
    tmp_path: Path, icons: Path, npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emoji, "NEEDS", {"no_such_module": "no-such-package"})
    with pytest.raises(Problem, match="no-such-package, which is not installed: python -m pip"):
        fetched(tmp_path / "emoji", by_npm(icons))
    assert not (npm / "calls").exists()
    assert not (tmp_path / "emoji").exists()


def test_other_pixels_than_the_pinned_ones_are_noted_and_changed_ones_warned_of(
    tmp_path: Path, icons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, listing = built(tmp_path, icons)
    pixels = (root / "images" / drawn.DIGEST).read_text().strip()
    (note,) = listing.notes
    assert f"digest {pixels[:16]} instead of {emoji.PIXELS[:16]}" in note
    monkeypatch.setattr(emoji, "PIXELS", pixels)
    listing = emoji.listing(root)
    assert listing.notes == ()
    assert "have changed" not in "\n".join(check(listing, root, lambda _: None))
    first, second = (root / path for path in listing.paths[:2])
    second.write_bytes(first.read_bytes())
    lines = check(emoji.listing(root), root, lambda _: None)
    assert any(line.startswith("WARNING: images have changed since they were") for line in lines)


def test_the_digest_is_that_of_pixels_and_not_of_how_a_file_packs_them(
    tmp_path: Path, icons: Path
) -> None:
    root, listing = built(tmp_path, icons)
    before = drawn.digest(root, listing.paths)
    path = root / listing.paths[0]
    Image.open(path).convert("RGB").save(path, compress_level=1)
    assert drawn.digest(root, listing.paths) == before
    assert drawn.digest(root, listing.paths[1:]) != before


def test_the_order_of_the_classes_is_seeded_and_no_class_moves_another(
    tmp_path: Path, icons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, listing = built(tmp_path, icons)
    names = list(listing.class_names)
    assert names != sorted(names)
    assert set(names) == set(CLASSES)
    np.testing.assert_array_equal(listing.is_test, listing.labels >= 2)
    assert [listing.class_names[label] for label in listing.labels] == [
        path.split("/")[1] for path in listing.paths
    ]
    (root / "images" / names[1]).rename(tmp_path / "elsewhere")
    images = len(listing) - CLASSES[names[1]]
    monkeypatch.setattr(emoji, "COUNTS", Counts(images=images, classes=3))
    assert list(emoji.listing(root).class_names) == [names[0], *names[2:]]


def test_every_source_has_the_same_pinned_files_of_eight_sets() -> None:
    assert len(emoji.SETS) == 8
    assert "fluent-emoji@" not in "".join(emoji.SETS)
    npm_files, *others = (source.files for source in emoji.SOURCES)
    assert [file.url for file in npm_files] == [
        f"npm:@iconify-json/{package}/icons.json" for package in emoji.SETS
    ]
    for files in others:
        for file, same in zip(files, npm_files, strict=True):
            assert (file.name, file.checksum, file.size) == (same.name, same.checksum, same.size)
            assert str(file.url).startswith("https://")
            assert str(file.url).endswith(str(same.url).removeprefix("npm:"))
