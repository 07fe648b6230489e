"""stamps: out of a Debian package, read in Python; on tiny packages in the exact format."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data import deb, fetch
from harness.data.datasets import stamps
from harness.data.listing import Counts, File, Source
from harness.data.store import decode
from harness.schema import Problem

ROOT = "./usr/share/tuxpaint/stamps"
WANTED = {"animals/birds": ["crow.png", "owl.png"], "food/nuts": ["almond.png"]}
FAKE_APT = """#!/bin/sh
[ "$1 $2" = "download tiny-stamps=1.0" ] && cp "{package}" . && exit 0
echo "E: Version '1.0' for 'tiny-stamps' was not found" >&2
exit 100
"""


def png(colour: str, size: tuple[int, int] = (40, 20)) -> bytes:
    """A stamp: a box in a colour on a clear ground 60 pixels wide that holds black under it."""
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    image.paste(Image.new("RGBA", size, colour), (10, 10))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def packed(members: dict[str, bytes]) -> bytes:
    """An ar archive, as dpkg-deb writes it."""
    content = b"!<arch>\n"
    for name, member in members.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(member):<10}`\n".encode()
        content += member + b"\n" * (len(member) % 2)
    return content


def package(files: dict[str, bytes], *, suffix: str = ".xz", control: bytes = b"odd") -> bytes:
    data = tarred(files, f"w:{suffix[1:]}")
    members = {"debian-binary": b"2.0\n", "control.tar.xz": control, f"data.tar{suffix}": data}
    return packed(members)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny package of stamps, some of which are wanted."""
    monkeypatch.setattr(stamps, "COUNTS", Counts(images=3, classes=2))
    wanted = [f"{kind}/{name}" for kind, names in WANTED.items() for name in names]
    unwanted = ["animals/birds/owl_mirror.png", "animals/birds/cartoon/tux.png", "town/x.png"]
    files = {f"{ROOT}/{name}": png("#00ff00") for name in [*wanted, *unwanted]}
    files[f"{ROOT}/animals/birds/owl.txt"] = b"An owl."
    path = tmp_path / "tiny.deb"
    path.write_bytes(package(files))
    return path


def source(address: str, path: Path) -> Source:
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return Source(address[:4], (File("stamps.deb", address, digest, path.stat().st_size),))


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2", ""])
@pytest.mark.parametrize("control", [b"odd", b"even"])
def test_a_package_is_read_however_it_is_compressed_and_padded(
    tmp_path: Path, suffix: str, control: bytes
) -> None:
    path = tmp_path / "a.deb"
    files = {"./usr/a.txt": b"one", "./usr/deep/b.bin": bytes(range(256)) * 300}
    path.write_bytes(package(files, suffix=suffix, control=control))
    assert dict(deb.files(path)) == {name[1:]: content for name, content in files.items()}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is the other writer")
def test_a_package_that_dpkg_writes_is_read(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr" / "share").mkdir(parents=True)
    (tree / "usr" / "share" / "b.txt").write_bytes(b"whole")
    (tree / "usr" / "link").symlink_to("share/b.txt")
    about = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: x <x@y>\nDescription: x\n"
    (tree / "DEBIAN" / "control").write_text(about)
    tree.chmod(0o755)
    (tree / "DEBIAN").chmod(0o755)
    path = tmp_path / "tiny.deb"
    command = ["dpkg-deb", "-Zxz", "--build", tree, path]
    subprocess.run(command, check=True, capture_output=True)
    assert dict(deb.files(path)) == {"/usr/share/b.txt": b"whole"}


def test_what_is_no_whole_readable_package_is_refused_in_a_line(tmp_path: Path) -> None:
    whole = package({"./a": np.random.default_rng(0).bytes(20_000)})
    members = {"debian-binary": b"2.0\n", "data.tar.zst": b"\x28\xb5\x2f\xfd"}
    for content, message in {
        b"<html>sorry</html>": "is no Debian package; get it again",
        whole[:-9_000]: "is no whole package",
        whole[:100]: "holds no data.tar",
        packed({"debian-binary": b"2.0\n"}): "holds no data.tar",
        packed(members): "is compressed as data.tar.zst",
    }.items():
        path = tmp_path / "a.deb"
        path.write_bytes(content)
        with pytest.raises(Problem, match=message) as caught:
            list(deb.files(path))
        assert "\n" not in str(caught.value)


def test_apt_get_brings_the_package_and_the_wanted_kinds_are_classes(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "apt-get").write_text(FAKE_APT.format(package=tiny))
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    lines: list[str] = []
    root = tmp_path / "stamps"
    sources = [source(f"apt:tiny-stamps={version}", tiny) for version in ("2.0", "1.0")]
    assert fetch.fetch("stamps", stamps, root, say=lines.append, sources=sources)
    text = "\n".join(lines)
    assert "`apt-get download tiny-stamps=2.0` failed with exit code 100: E: Version" in text
    assert "stamps: 3 images, 2 classes in" in text
    assert [item.name for item in root.iterdir()] == ["images"]
    listing = stamps.listing(root)
    assert sorted(listing.paths) == [
        "images/animals_birds/crow.png",
        "images/animals_birds/owl.png",
        "images/food_nuts/almond.png",
    ]
    assert listing.is_test.tolist() == (listing.labels == 1).tolist()


def test_a_stamp_is_cut_at_what_is_opaque_and_centred_on_white(tmp_path: Path, tiny: Path) -> None:
    stamps.build([tiny], tmp_path, lambda _: None)
    pixels = decode(tmp_path / "images" / "food_nuts" / "almond.png")
    assert pixels.shape == (256, 256, 3)
    green = (pixels == [0, 255, 0]).all(-1)
    rows, columns = (np.flatnonzero(green.any(axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (68, 187, 8, 247)  # 240 by 120
    assert green[68:188, 8:248].all()
    assert (pixels[~green] == 255).all()


def test_without_apt_get_and_mirror_the_steps_by_hand_are_said_and_a_placed_package_is_read(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("no_proxy", "*")
    lines: list[str] = []
    root = tmp_path / "stamps"
    sources = [source(url, tiny) for url in ("apt:tiny-stamps=1.0", "http://127.0.0.1:9/a.deb")]
    assert not fetch.fetch("stamps", stamps, root, say=lines.append, sources=sources)
    text = "\n".join(lines)
    assert "no apt-get is installed here" in text
    assert "http://127.0.0.1:9/a.deb broke off" in text
    assert f"Put it at {root}/tuxpaint-stamps-default.deb" in text
    assert not (root / "images").exists()
    (root / "stamps.deb").write_bytes(tiny.read_bytes())
    assert fetch.fetch("stamps", stamps, root, say=lines.append, sources=sources)
    assert len(stamps.listing(root)) == 3


def test_there_are_31_kinds_none_twice() -> None:
    assert len(set(stamps.KINDS)) == len(stamps.KINDS) == stamps.COUNTS.classes == 31
