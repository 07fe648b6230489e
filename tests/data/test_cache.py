"""The decoded-image cache: equal to torchvision, resumable, shared, rebuilt on any change."""

from __future__ import annotations

import errno
import mmap
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets.folder import default_loader
from torchvision.transforms import Resize
from torchvision.transforms.functional import _compute_resized_output_size

from harness import files
from harness.data import cache, check, fill, lock, room
from harness.data.cache import Store, build, open_store
from harness.data.datasets import cars, cub, folder, inshop, sop
from harness.data.listing import Listing
from harness.data.store import decode, decoded, resized
from harness.schema import Dataset, Problem
from tests.data import miniatures
from tests.made import HANGS

SIDE = 32


def silent(line: str) -> None:
    del line


def tree(path: Path) -> list[str]:
    """What is in a folder, but for the notes on what images there are."""
    items = path.iterdir() if path.exists() else ()
    return sorted(item.name for item in items if not item.name.endswith(".contents.json"))


@pytest.fixture
def birds(tmp_path: Path) -> tuple[Path, Path, Listing]:
    """(root, cache folder, listing) of 181 small images: two chunks."""
    root = tmp_path / "cub"
    miniatures.cub(root, classes=10, images=20, short=24)
    return root, tmp_path / "cache", cub.listing(root)


def build_quietly(listing: Listing, root: Path, cache_dir: Path) -> Path:
    return build(listing, root, cache_dir, side=SIDE, workers=1, say=silent)


def expected(root: Path, listing: Listing, side: int = SIDE) -> list[np.ndarray[Any, Any]]:
    """What torchvision gives for every image, in order, where none of it is transparent."""
    return [np.asarray(Resize(side)(loaded(root / path))) for path in listing.paths]


def loaded(path: Path) -> Image.Image:
    """What torchvision's loader gives, but an image with an alpha channel lies on white."""
    image = Image.open(path)
    if image.mode != "RGBA":
        return default_loader(str(path))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def assert_same(store: Store, images: list[np.ndarray[Any, Any]]) -> None:
    assert len(store) == len(images)
    for i, image in enumerate(images):
        np.testing.assert_array_equal(store[i], image)


# what is stored


def test_every_image_odd_ones_included_equals_torchvision_to_the_pixel(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    modes = {Image.open(root / path).mode for path in listing.paths}
    assert modes == {"RGB", "L", "CMYK", "RGBA", "P"}
    store = open_store(build(listing, root, cache_dir, side=SIDE, workers=2, say=silent))
    assert_same(store, expected(root, listing))
    assert {min(image.shape[:2]) for image in (store[i] for i in range(len(store)))} == {SIDE}


@given(
    width=st.integers(1, 4000), height=st.integers(1, 4000), side=st.sampled_from([64, 256, 288])
)
@settings(max_examples=300, deadline=None)
def test_new_sizes_are_those_of_torchvision(width: int, height: int, side: int) -> None:
    new_width, new_height = resized(width, height, side)
    assert [new_height, new_width] == _compute_resized_output_size((height, width), [side])


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    side=st.integers(1, 70),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_resizing_equals_torchvision_at_any_size(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, side: int, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.png"
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(path)
    np.testing.assert_array_equal(decode(path, side), np.asarray(Resize(side)(image)))
    np.testing.assert_array_equal(decode(path), pixels)


def test_an_exif_orientation_is_not_applied_as_torchvision_does_not(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    turned = miniatures.picture(0, 99).resize((40, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "zebra" / "turned.jpg", exif=exif)
    listing = folder.listing(tmp_path)
    store = open_store(
        build(listing, tmp_path, tmp_path / ".cache", side=24, workers=1, say=silent)
    )
    i = listing.paths.index("zebra/turned.jpg")
    assert store[i].shape == (24, 40, 3)
    assert_same(store, expected(tmp_path, listing, 24))


def test_a_store_is_read_only_and_works_after_pickling_in_another_process(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    store = open_store(build_quietly(listing, root, cache_dir))
    with pytest.raises(ValueError, match="read-only"):
        store[0][0, 0, 0] = 1
    assert len(pickle.dumps(store)) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        sums = pool.map(_sums, [store])[0]
    assert sums == [int(image.sum()) for image in expected(root, listing)]


def _sums(store: Store) -> list[int]:
    return [int(store[i].sum()) for i in range(len(store))]


def load(module: Any, root: Path, cache_dir: Path, *, resize: int, say: Any) -> Dataset:
    """The dataset of a file in data/datasets, wherever its images lie."""
    return cache.dataset(module.listing(root), root, cache_dir, side=resize, say=say)


@pytest.mark.parametrize("name", ["cub", "cars", "sop", "inshop", "folder"])
def test_load_gives_the_dataset_over_its_store(tmp_path: Path, name: str) -> None:
    make: Any = getattr(miniatures, name)
    make(tmp_path / name, **({"layout": "csv"} if name == "cars" else {}))
    module = {"cub": cub, "cars": cars, "sop": sop, "inshop": inshop, "folder": folder}[name]
    lines: list[str] = []
    dataset = load(module, tmp_path / name, tmp_path / "cache", resize=SIDE, say=lines.append)
    listing = module.listing(tmp_path / name)
    assert dataset.name == listing.name
    np.testing.assert_array_equal(dataset.labels, listing.labels)
    np.testing.assert_array_equal(dataset.is_test, listing.is_test)
    assert (dataset.is_query is not None) == (name == "inshop")
    assert isinstance(dataset.images, Store)
    assert_same(dataset.images, expected(tmp_path / name, listing))
    stated = [line for line in lines if line.startswith("NOTE: counts.txt")]
    assert len(stated) == (0 if name == "folder" else 1)
    again = load(module, tmp_path / name, tmp_path / "cache", resize=SIDE, say=silent)
    assert again.fingerprint == dataset.fingerprint


def test_the_fingerprint_follows_content_and_not_place_layout_or_time(tmp_path: Path) -> None:
    prints = {}
    for layout in ("csv", "devkit"):
        miniatures.cars(tmp_path / layout, layout=layout)
        made = load(cars, tmp_path / layout, tmp_path / f"cache-{layout}", resize=SIDE, say=silent)
        prints[layout] = made.fingerprint
    assert prints["csv"] == prints["devkit"]
    other = load(cars, tmp_path / "csv", tmp_path / "cache-csv", resize=SIDE + 1, say=silent)
    assert other.fingerprint != prints["csv"]
    listing = cars.listing(tmp_path / "csv")
    changed = tmp_path / "csv" / listing.paths[9]
    miniatures.save(changed, miniatures.picture(77, 0))
    edited = load(cars, tmp_path / "csv", tmp_path / "cache-csv", resize=SIDE, say=silent)
    assert edited.fingerprint != prints["csv"]


def test_other_halves_and_other_queries_have_other_fingerprints(tmp_path: Path) -> None:
    miniatures.folder(tmp_path / "folder")
    cache_dir = tmp_path / "cache"
    prints = [load(folder, tmp_path / "folder", cache_dir, resize=SIDE, say=silent).fingerprint]
    rows = ["class,split", "zebra,test", "鳥,train", "Étoile,train", "ångström,train"]
    (tmp_path / "folder" / "split.csv").write_text("\n".join(rows), encoding="utf-8")
    prints.append(load(folder, tmp_path / "folder", cache_dir, resize=SIDE, say=silent).fingerprint)
    miniatures.inshop(tmp_path / "inshop")
    prints.append(load(inshop, tmp_path / "inshop", cache_dir, resize=SIDE, say=silent).fingerprint)
    table = tmp_path / "inshop" / "Eval" / "list_eval_partition.txt"
    table.write_text(table.read_text().replace("query", "gallery", 1))
    prints.append(load(inshop, tmp_path / "inshop", cache_dir, resize=SIDE, say=silent).fingerprint)
    assert len(set(prints)) == 4


# rebuilding


def test_a_built_store_is_used_again_and_rebuilt_when_anything_changes(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache_dir, listing = birds
    first = build_quietly(listing, root, cache_dir)
    made = (first / "pixels.u8").stat().st_mtime_ns
    assert build_quietly(cub.listing(root), root, cache_dir) == first
    assert (first / "pixels.u8").stat().st_mtime_ns == made
    paths = {first, build(listing, root, cache_dir, side=SIDE + 1, workers=1, say=silent)}
    miniatures.save(root / listing.paths[30], miniatures.picture(3, 333))
    lines: list[str] = []
    listing = cub.listing(root)
    paths.add(build(listing, root, cache_dir, side=SIDE, workers=1, say=lines.append))
    assert any("changed since" in line and first.name in line for line in lines)
    monkeypatch.setattr(cache, "DECODER", "pillow of another day")
    paths.add(build_quietly(listing, root, cache_dir))
    assert len(paths) == 4
    assert tree(cache_dir) == sorted(path.name for path in paths)
    for path in paths - {first}:
        side = SIDE + 1 if f"-{SIDE + 1}-" in path.name else SIDE
        i = 30 if side == SIDE else 31
        np.testing.assert_array_equal(open_store(path)[i], expected(root, listing, side)[i])


def test_the_system_is_advised_of_whole_pages_of_the_images_that_are_asked_for_next(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a block that has not been compared with its checksum, all pages: it is read whole."""
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    store = open_store(path)
    length = (path / "pixels.u8").stat().st_size
    advised: list[tuple[int, int]] = []

    class Map:
        def madvise(self, advice: int, start: int, count: int) -> None:
            assert advice == mmap.MADV_WILLNEED
            assert start % mmap.PAGESIZE == 0
            advised.append((start, start + count))

    store.will_need([3])  # by the real one first: no error
    monkeypatch.setattr(store, "_map", Map())
    first, second = (store.blocks.ends(block, store._index) for block in range(2))
    assert second[1] == length
    page = mmap.PAGESIZE
    store.will_need([3, 5, 150])
    assert sorted(advised) == [first, (second[0] - second[0] % page, second[1])]
    store.check(0)
    advised.clear()
    store.will_need([5])
    start, height, width = store._index[5].tolist()
    assert advised == [(start - start % page, start + 3 * height * width)]


def spoil(path: Path, place: int) -> None:
    """Flip a byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["pixels.u8", "index.npy", "blocks.json", "store.json"])
def test_a_store_that_shows_its_damage_is_refused_and_built_again(
    birds: tuple[Path, Path, Listing], file: str
) -> None:
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    content = (path / file).read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"[]"):
        (path / file).write_bytes(damaged)
        with pytest.raises(Problem, match=re.escape(str(path))):
            open_store(path)
        lines: list[str] = []
        assert build(listing, root, cache_dir, side=SIDE, workers=1, say=lines.append) == path
        assert "damaged; it is built again" in lines[0]
        assert (path / file).read_bytes() == content
    with pytest.raises(Problem, match="no whole image cache"):
        open_store(cache_dir)


def test_a_flipped_byte_of_the_index_or_the_checksums_is_noticed_when_the_store_is_opened(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    for file, place in (("index.npy", -8), ("blocks.json", -9)):
        spoil(path / file, place)
        with pytest.raises(Problem, match=r"damaged|as it was written"):
            open_store(path)
        spoil(path / file, place)
    assert_same(open_store(path), expected(root, listing))


def test_a_flipped_byte_of_the_pixels_is_noticed_at_the_first_read_and_decoded_again(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    content = (path / "pixels.u8").read_bytes()
    fingerprint = cache.dataset(listing, root, cache_dir, side=SIDE, say=silent).fingerprint
    spoil(path / "pixels.u8", -5)  # of the second block
    unmended = open_store(path)
    assert unmended[3].shape[2] == 3  # the first block is whole
    with pytest.raises(Problem, match="images 128 to 180 are not as they were written"):
        unmended[-1]
    dataset = cache.dataset(listing, root, cache_dir, side=SIDE, say=silent)
    assert isinstance(dataset.images, Store)
    assert_same(dataset.images, expected(root, listing))
    assert dataset.fingerprint == fingerprint
    assert (path / "pixels.u8").read_bytes() == content


def test_a_damaged_block_whose_images_are_gone_is_refused_and_never_read(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    spoil(path / "pixels.u8", 10)
    (root / listing.paths[7]).unlink()
    dataset = cache.dataset(listing, root, cache_dir, side=SIDE, say=silent)
    with pytest.raises(Problem, match="no longer give them"):
        dataset.images[0]
    assert dataset.images[180].dtype == np.uint8


def test_a_store_from_before_there_were_checksums_gets_them_if_its_digest_holds(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    checksums = (path / "blocks.json").read_bytes()
    (path / "blocks.json").unlink()
    assert_same(open_store(path), expected(root, listing))
    assert (path / "blocks.json").read_bytes() == checksums
    (path / "blocks.json").unlink()
    spoil(path / "pixels.u8", 0)
    with pytest.raises(Problem, match="as it was written"):
        open_store(path)
    assert not (path / "blocks.json").exists()


def test_verifying_a_dataset_verifies_its_stores_and_restores_them(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    path = build_quietly(listing, root, cache_dir)
    build(listing, root, cache_dir, side=SIDE + 1, workers=1, say=silent)
    spoil(path / "pixels.u8", 0)
    lines = check.check_cache(listing, root, cache_dir, silent)
    assert lines == [
        "cache at shorter side 32: 2 blocks of images, 1 were damaged and are restored",
        "cache at shorter side 33: 2 blocks of images, as the images give them",
    ]
    assert "damaged" not in check.check_cache(listing, root, cache_dir, silent)[0]


def test_corrupt_images_are_all_named_with_the_count_and_nothing_stays(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    bad = [listing.paths[i] for i in (0, 60, 170)]
    miniatures.truncate(root / bad[0])
    (root / bad[1]).write_bytes(b"")
    (root / bad[2]).write_text("<html>not an image</html>")
    with pytest.raises(Problem) as caught:
        build(cub.listing(root), root, cache_dir, side=SIDE, workers=2, say=silent)
    message = str(caught.value)
    assert "3 of 181 images" in message
    assert all(path in message for path in bad)
    assert message.index(bad[0]) < message.index(bad[1]) < message.index(bad[2])
    assert "\n" not in message
    assert tree(cache_dir) == []


def test_the_size_is_printed_beforehand_and_a_full_disk_stops_before_any_work(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache_dir, listing = birds
    lines: list[str] = []
    path = build(listing, root, cache_dir, side=SIDE, workers=1, say=lines.append)
    size = (path / "pixels.u8").stat().st_size
    assert size == sum(image.size for image in expected(root, listing))
    assert f"181 images, {size / 1e9:.2f} GB" in lines[0]
    assert any("181 of 181 images decoded (100 %)" in line for line in lines)
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(Problem, match=r"needs 0\.00 GB more in .*, where 0\.00 GB are free"):
        build(listing, root, cache_dir, side=SIDE + 1, workers=1, say=silent)


def test_a_disk_that_fills_up_keeps_finished_chunks_for_the_next_call(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache_dir, listing = birds
    write_text = files.write_text

    def full(path: Path, text: str) -> None:
        if path.name == "chunk-000001.done":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_text(path, text)

    monkeypatch.setattr(fill, "write_text", full)
    with pytest.raises(Problem, match="is full"):
        build_quietly(listing, root, cache_dir)
    monkeypatch.undo()
    pixels = next(cache_dir.glob(".*.building/pixels.u8"))
    size = pixels.stat().st_size
    os.truncate(pixels, int(np.load(pixels.with_name("index.npy"))[fill.CHUNK, 0]))
    os.truncate(pixels, size)  # the second chunk, which did not arrive, is a hole again
    needed = size - 512 * pixels.stat().st_blocks
    assert 0 < needed < size
    free = type("Usage", (), {"free": needed})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    monkeypatch.setattr(room, "SPARE", 0)
    lines: list[str] = []
    path = build(listing, root, cache_dir, side=SIDE, workers=1, say=lines.append)
    assert any("carrying on after 1 finished chunks" in line for line in lines)
    assert_same(open_store(path), expected(root, listing))


# interruptions and company

SLOW_BUILD = """
import functools, signal, sys, time
from pathlib import Path
from harness.data import fill
from harness.data.datasets import cub
from harness.data.cache import build
decoded = fill.decoded
def slow(path, side, box):
    time.sleep({seconds})
    return decoded(path, side, box)
fill.decoded = slow
fill.CHUNK = 16
# The tests may run in a process that ignores the signal, as nohup and & make it do.
signal.signal(signal.SIGINT, signal.default_int_handler)
root, cache_dir = Path(sys.argv[1]), Path(sys.argv[2])
say = functools.partial(print, flush=True)
path = build(cub.listing(root), root, cache_dir, side={side}, workers=1, say=say)
print("built", path.name, flush=True)
"""


def start(root: Path, cache_dir: Path, seconds: float) -> subprocess.Popen[str]:
    code = SLOW_BUILD.format(seconds=seconds, side=SIDE)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(cache_dir)], stdout=subprocess.PIPE, text=True
    )


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_build_killed_outright_carries_on_and_ends_equal(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache_dir, listing = birds
    process = start(root, cache_dir, 0.05)
    wait_for(lambda: len(list(cache_dir.glob(".*.building/*.done"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not [name for name in tree(cache_dir) if not name.startswith(".")]
    finished = len(list(cache_dir.glob(".*.building/*.done")))
    assert 3 <= finished < 12
    half_written = next(cache_dir.glob(".*.building")) / ".chunk-000005.done.x7f"
    half_written.write_text("what the build was writing when it was killed")
    monkeypatch.setattr(fill, "CHUNK", 16)
    read_paths: list[Path] = []

    def counted(path: Path, side: int, box: Any) -> Any:
        read_paths.append(path)
        return decoded(path, side, box)

    monkeypatch.setattr(fill, "decoded", counted)
    path = build_quietly(listing, root, cache_dir)
    assert len(read_paths) == len(listing) - 16 * finished
    assert_same(open_store(path), expected(root, listing))
    assert tree(cache_dir) == [path.name]
    assert tree(path) == ["blocks.json", "index.npy", "pixels.u8", "store.json"]
    undisturbed = build_quietly(listing, root, cache_dir.with_name("other"))
    assert open_store(undisturbed).digest == open_store(path).digest


def test_a_half_built_store_of_an_older_source_is_cleared_away(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    process = start(root, cache_dir, 0.05)
    wait_for(lambda: len(list(cache_dir.glob(".*.building/*.done"))) >= 1)
    process.kill()
    process.communicate()
    miniatures.save(root / listing.paths[3], miniatures.picture(5, 555))
    path = build_quietly(cub.listing(root), root, cache_dir)
    assert tree(cache_dir) == [path.name]


def test_others_wait_for_the_one_who_builds_and_take_its_store(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    builders = [start(root, cache_dir, 0.004) for _ in range(3)]
    outputs = [builder.communicate(timeout=HANGS)[0] for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert sum("images decoded" in output for output in outputs) == 1
    assert sum("waiting for it" in output for output in outputs) >= 1
    path = build_quietly(listing, root, cache_dir)
    assert_same(open_store(path), expected(root, listing))
    assert tree(cache_dir) == [path.name]


def test_a_waiter_takes_over_when_the_builder_is_killed(
    birds: tuple[Path, Path, Listing],
) -> None:
    root, cache_dir, listing = birds
    first = start(root, cache_dir, 0.03)
    wait_for(lambda: len(list(cache_dir.glob(".*.building/*.done"))) >= 1)
    second = start(root, cache_dir, 0.0)
    assert second.stdout is not None
    while "waiting for it" not in (line := second.stdout.readline()):
        assert line
    first.kill()
    first.communicate()
    rest = second.communicate(timeout=HANGS)[0]
    assert "carrying on after" in rest
    assert second.returncode == 0
    assert_same(
        open_store(build_quietly(listing, root, cache_dir)),
        expected(root, listing),
    )


def test_without_locks_builders_work_apart_and_one_store_remains(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache_dir, listing = birds
    monkeypatch.setattr(lock, "fcntl", None)
    with ThreadPoolExecutor(3) as pool:
        paths = list(
            pool.map(
                lambda _: build_quietly(listing, root, cache_dir),
                range(3),
            )
        )
    assert len(set(paths)) == 1
    assert tree(cache_dir) == [paths[0].name]
    assert_same(open_store(paths[0]), expected(root, listing))


def test_an_interrupted_build_keeps_its_chunks_and_lets_go_of_the_lock(
    birds: tuple[Path, Path, Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache_dir, listing = birds
    monkeypatch.setattr(fill, "CHUNK", 16)  # as in the build that is interrupted
    process = start(root, cache_dir, 0.05)
    wait_for(lambda: len(list(cache_dir.glob(".*.building/*.done"))) >= 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=HANGS)
    assert process.returncode != 0
    assert [name for name in tree(cache_dir) if name.endswith(".lock")] == []
    assert len(list(cache_dir.glob(".*.building/*.done"))) >= 2
    torch.from_numpy(np.array(open_store(build_quietly(listing, root, cache_dir))[0]))
