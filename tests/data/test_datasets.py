"""The real datasets' list files, counts, halves, downloads and checks, on miniatures."""

from __future__ import annotations

import hashlib
import http.server
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytorch_metric_learning import datasets as pml

from harness.data import datasets
from harness.data.check import check, describe
from harness.data.datasets import cars, cub, folder, inshop, sop
from harness.data.download import download
from harness.data.fetch import fetch, unpack
from harness.data.listing import Counts, File, Source
from harness.schema import Problem
from tests.data import miniatures
from tests.made import call


def silent(line: str) -> None:
    del line


def pml_view(dataset: Any, root: Path) -> list[tuple[str, int]]:
    """(path relative to root, 0-based label) as the library's own class reads them."""
    return [
        (os.path.relpath(path, root), label - 1)
        for path, label in zip(dataset.paths, dataset.labels, strict=True)
    ]


def our_view(listing: Any, chosen: Any) -> list[tuple[str, int]]:
    return [(listing.paths[i], int(listing.labels[i])) for i in np.flatnonzero(chosen).tolist()]


def zipped(source: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(source.rglob("*")):
            archive.write(path, path.relative_to(source))
    return target


def tarred(source: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(source.iterdir()):
            archive.add(path, path.name)
    return target


# the published facts


def test_published_counts_of_the_halves_add_up() -> None:
    counts = {module.NAME: module.COUNTS for module in (cub, cars, sop, inshop)}
    assert counts["cub"] == Counts(11_788, 200, 5_924, 100)
    assert counts["cars"] == Counts(16_185, 196, 8_131, 98)
    assert counts["sop"] == Counts(120_053, 22_634, 120_053 - 59_551, 22_634 - 11_318)
    assert counts["inshop"] == Counts(52_712, 7_982, 52_712 - 25_882, 7_982 - 3_997)


# agreement with the library's loaders, at the real numbers of classes


@pytest.mark.parametrize("half", ["train", "test"])
def test_cub_and_its_halves_are_what_the_library_reads(tmp_path: Path, half: str) -> None:
    n = miniatures.cub(tmp_path, classes=200, images=2, short=6)
    # the library pairs rows by position and would lose the images: give it the same order
    labels = tmp_path / "CUB_200_2011" / "image_class_labels.txt"
    labels.write_text("\n".join(reversed(labels.read_text().split("\n")[:-1])) + "\n")
    listing = cub.listing(tmp_path)
    assert len(listing) == n == 399
    chosen = listing.is_test if half == "test" else ~listing.is_test
    assert our_view(listing, chosen) == pml_view(pml.CUB(str(tmp_path), half), tmp_path)


@pytest.mark.parametrize("half", ["train", "test"])
def test_cars_and_its_halves_are_what_the_library_reads(tmp_path: Path, half: str) -> None:
    miniatures.cars(tmp_path, layout="csv", classes=196, images=2, short=6)
    listing = cars.listing(tmp_path)
    chosen = listing.is_test if half == "test" else ~listing.is_test
    theirs = pml_view(pml.Cars196(str(tmp_path), half), tmp_path)
    assert sorted(our_view(listing, chosen)) == sorted(theirs)
    assert listing.labels[listing.is_test].min() == 98


@pytest.mark.parametrize("half", ["train", "test"])
def test_sop_and_its_halves_are_what_the_library_reads(tmp_path: Path, half: str) -> None:
    miniatures.sop(tmp_path)
    listing = sop.listing(tmp_path)
    chosen = listing.is_test if half == "test" else ~listing.is_test
    theirs = pml_view(pml.StanfordOnlineProducts(str(tmp_path), half), tmp_path)
    assert our_view(listing, chosen) == theirs
    assert (~listing.is_test).sum() == 6 * 4  # the lists' halves, not half of the classes


# what the list files say


def test_cub_pairs_rows_by_image_id_whatever_their_order(tmp_path: Path) -> None:
    miniatures.cub(tmp_path)
    listing = cub.listing(tmp_path)
    labels = [int(Path(path).parent.name[:3]) - 1 for path in listing.paths]
    assert listing.labels.tolist() == labels
    assert listing.class_names[0] == "001.Pájaro_鳥"
    assert listing.is_test.tolist() == [label >= 5 for label in labels]


def test_cub_is_found_in_the_unpacked_folder_itself(tmp_path: Path) -> None:
    miniatures.cub(tmp_path)
    inner = tmp_path / "CUB_200_2011"
    listing = cub.listing(inner, Counts(37, 10))
    assert listing.paths[0].startswith("images/001.")
    assert (inner / listing.paths[0]).is_file()


def test_csv_and_devkit_layouts_of_cars_list_the_same_images_in_the_same_order(
    tmp_path: Path,
) -> None:
    listings = {}
    for layout in ("csv", "single", "devkit"):
        miniatures.cars(tmp_path / layout, layout=layout)
        listings[layout] = cars.listing(tmp_path / layout)
    assert [Path(p).name for p in listings["csv"].paths] == [
        Path(p).name for p in listings["devkit"].paths
    ]
    np.testing.assert_array_equal(listings["csv"].labels, listings["devkit"].labels)
    assert (
        listings["csv"].class_names
        == listings["devkit"].class_names
        == listings["single"].class_names
    )
    for listing in listings.values():
        assert np.bincount(listing.labels).tolist() == [4] * 9 + [1]
        np.testing.assert_array_equal(listing.is_test, listing.labels >= 5)
    assert "Ram C-V Cargo Van Minivan 2012" in " ".join(listings["csv"].paths)


def test_cars_in_the_folder_of_torchvision_and_doubly_nested_is_read(tmp_path: Path) -> None:
    inner = tmp_path / "stanford_cars"
    miniatures.cars(inner, layout="devkit")
    (inner / "counts.txt").rename(tmp_path / "counts.txt")
    (inner / "cars_train").rename(inner / "train")
    (inner / "cars_train").mkdir()
    (inner / "train").rename(inner / "cars_train" / "cars_train")
    assert cars.listing(tmp_path).paths[0] == "stanford_cars/cars_train/cars_train/00001.jpg"


def test_cars_without_labels_of_the_test_part_are_refused(tmp_path: Path) -> None:
    miniatures.cars(tmp_path, layout="devkit")
    labelled = tmp_path / "cars_test_annos_withlabels.mat"
    labelled.unlink()
    with pytest.raises(Problem, match="cars_test_annos_withlabels"):
        cars.listing(tmp_path)
    labelled.write_bytes(b"no mat file")
    with pytest.raises(Problem, match=r"no readable \.mat"):
        cars.listing(tmp_path)


def test_inshop_has_queries_a_gallery_and_sorted_items(tmp_path: Path) -> None:
    miniatures.inshop(tmp_path)
    listing = inshop.listing(tmp_path)
    lines = (tmp_path / "Eval" / "list_eval_partition.txt").read_text().splitlines()[2:]
    rows = [line.split() for line in lines]
    assert listing.paths == tuple(row[0] for row in rows)
    assert listing.is_query is not None
    assert listing.is_query.tolist() == [row[2] == "query" for row in rows]
    assert listing.is_test.tolist() == [row[2] != "train" for row in rows]
    assert [listing.class_names[label] for label in listing.labels] == [row[1] for row in rows]
    assert list(listing.class_names) == sorted(listing.class_names)
    (tmp_path / "Img").mkdir()
    (tmp_path / "img").rename(tmp_path / "Img" / "img")
    assert inshop.listing(tmp_path).paths[0].startswith("Img/img/WOMEN/")


def test_inshop_list_with_rows_missing_is_refused(tmp_path: Path) -> None:
    miniatures.inshop(tmp_path)
    path = tmp_path / "Eval" / "list_eval_partition.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]))
    with pytest.raises(Problem, match="announces 37 images and lists 34"):
        inshop.listing(tmp_path)


def test_folder_classes_are_sorted_and_halved_or_split_as_the_file_says(tmp_path: Path) -> None:
    n = miniatures.folder(tmp_path)
    (tmp_path / "zebra" / ".DS_Store").write_bytes(b"")
    listing = folder.listing(tmp_path)
    assert len(listing) == n
    assert listing.class_names == ("zebra", "Étoile", "ångström", "鳥")
    assert sum("/deeper/" in path for path in listing.paths) == 3
    np.testing.assert_array_equal(listing.is_test, listing.labels >= 2)
    rows = ["class,split", "zebra,test", "鳥,train", "Étoile,train", "ångström,train"]
    (tmp_path / "split.csv").write_text("\n".join(rows), encoding="utf-8")
    np.testing.assert_array_equal(folder.listing(tmp_path).is_test, listing.labels == 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["class;split"], "header"),
        (["class,split", "zebra,val"], "val is not known"),
        (["class,split", "zebra,test", "zebra,test"], "Étoile, ångström, 鳥, zebra"),
    ],
)
def test_split_file_that_is_wrong_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    miniatures.folder(tmp_path)
    (tmp_path / "split.csv").write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(Problem, match=message):
        folder.listing(tmp_path)


def test_a_folder_without_images_is_no_class_and_is_named(tmp_path: Path) -> None:
    n = miniatures.folder(tmp_path)
    (tmp_path / "void").mkdir()
    listing = folder.listing(tmp_path)
    assert (len(listing), len(listing.class_names)) == (n, 4)
    assert "1 folders hold no images and are no classes: void" in listing.notes


# counts


def test_real_counts_are_demanded_unless_counts_txt_states_others(tmp_path: Path) -> None:
    miniatures.cub(tmp_path)
    listing = cub.listing(tmp_path)
    assert listing.name == "cub (counts.txt: 37 images, 10 classes)"
    assert listing.stated == Counts(37, 10)
    (tmp_path / "counts.txt").unlink()
    with pytest.raises(Problem, match=r"37 images listed .* 11788 are expected"):
        cub.listing(tmp_path)
    unstated = cub.listing(tmp_path, Counts(37, 10))
    assert (unstated.name, unstated.is_counted) == ("cub", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images 37\nclasses 11\n", "10 classes listed .* 11 are expected"),
        ("images 37\nclasses 10\ntest_images 99\n", "test images listed"),
        ("images 37\n", "must say both"),
        ("images many\nclasses 10\n", "images many"),
        ("pictures 37\n", "pictures 37"),
    ],
)
def test_counts_txt_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    miniatures.cub(tmp_path)
    (tmp_path / "counts.txt").write_text(text)
    with pytest.raises(Problem, match=message):
        cub.listing(tmp_path)


@pytest.mark.parametrize("name", ["cub", "cars", "sop", "inshop"])
def test_missing_images_are_all_named_with_their_count(tmp_path: Path, name: str) -> None:
    make: Any = getattr(miniatures, name)
    make(tmp_path, **({"layout": "csv"} if name == "cars" else {}))
    module = datasets.module(name)
    gone = [module.listing(tmp_path).paths[i] for i in (3, 20)]
    for path in gone:
        (tmp_path / path).unlink()
    with pytest.raises(Problem) as caught:
        module.listing(tmp_path)
    assert "2 of 37 images are missing" in str(caught.value)
    assert all(path in str(caught.value) for path in gone)
    assert "\n" not in str(caught.value)


def test_sop_class_in_both_halves_is_refused(tmp_path: Path) -> None:
    miniatures.sop(tmp_path)
    path = tmp_path / "Stanford_Online_Products" / "Ebay_test.txt"
    path.write_text(path.read_text().replace(" 7 1 ", " 1 1 "))
    with pytest.raises(Problem, match="both the trainval and the test half"):
        sop.listing(tmp_path)


def test_damaged_list_files_are_refused_with_the_line(tmp_path: Path) -> None:
    miniatures.sop(tmp_path)
    path = tmp_path / "Stanford_Online_Products" / "Ebay_train.txt"
    path.write_text(path.read_text() + "99 9\n")
    with pytest.raises(Problem, match="line 26 has 2 columns"):
        sop.listing(tmp_path)
    path.write_text(path.read_text().replace("99 9\n", "99 nine 1 x.JPG\n"))
    with pytest.raises(Problem, match="nine"):
        sop.listing(tmp_path)


@pytest.mark.parametrize("name", ["cub", "cars", "sop", "inshop"])
def test_an_empty_folder_is_a_problem_that_says_what_to_fetch(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem, match=f"data fetch {name}"):
        datasets.module(name).listing(tmp_path)


# check and describe


def test_check_counts_opens_everything_and_gives_the_colours(tmp_path: Path) -> None:
    miniatures.inshop(tmp_path)
    text = "\n".join(check(inshop.listing(tmp_path), tmp_path, silent, workers=2))
    assert "37 images, 10 classes" in text
    assert "trainval: 20 images, 5 classes" in text
    assert "test: 17 images, 5 classes" in text
    assert "queries: 9 images; gallery: 8" in text
    assert "34 RGB" not in text
    assert "33 RGB, 1 grey, 3 other" in text
    assert "1 to 4, 1 classes with one image" in text


def test_check_names_every_corrupt_image_with_the_count(tmp_path: Path) -> None:
    miniatures.folder(tmp_path)
    paths = folder.listing(tmp_path).paths
    miniatures.truncate(tmp_path / paths[5])
    (tmp_path / paths[7]).write_bytes(b"")
    with pytest.raises(Problem) as caught:
        check(folder.listing(tmp_path), tmp_path, silent)
    assert "2 of 13 images" in str(caught.value)
    assert paths[5] in str(caught.value)
    assert paths[7] in str(caught.value)
    assert "truncated" in str(caught.value)


def test_describe_gives_every_dataset_and_what_is_here(tmp_path: Path) -> None:
    miniatures.cub(tmp_path / "cub")
    miniatures.sop(tmp_path / "sop")
    (tmp_path / "sop" / "counts.txt").unlink()
    rows = {row.name: row for row in describe(tmp_path, datasets.modules())}
    kinds = {"folder:PATH", "table:FILE", "features:FILE", "hf:NAME[:CONFIG]"}
    assert set(rows) == {"cub", "cars", "emoji", "glyphs", "inshop", "sop", "stamps", *kinds}
    assert rows["cub"].here == "(counts.txt: 37 images, 10 classes)"
    assert rows["cars"].here == "absent"
    assert rows["sop"].here == "not whole"
    assert "120053 are expected" in rows["sop"].why
    assert (rows["cars"].images, rows["cars"].classes) == (16_185, 196)


# fetch


class Shop(http.server.BaseHTTPRequestHandler):
    """Serves files with ranges; `break_after` bytes it drops the connection, once per entry."""

    folder: Path
    break_after: list[int]
    requested_ranges: list[str | None]
    etag = '"one"'

    def do_GET(self) -> None:
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404, "Not Found")
            return
        content = path.read_bytes()
        requested = self.headers.get("Range")
        self.requested_ranges.append(requested)
        first = 0
        if requested and self.headers.get("If-Range") == self.etag:
            first = int(requested.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", self.etag)
        kind = "text/html" if path.suffix == ".html" else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        end = first + self.break_after.pop(0) if self.break_after else len(content)
        self.wfile.write(content[first:end])

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Shop]]]:
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "shop"
    folder.mkdir()
    handler = type(
        "Handler", (Shop,), {"folder": folder, "break_after": [], "requested_ranges": []}
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()
        thread.join()


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def leftovers(root: Path) -> list[str]:
    return sorted(item.name for item in root.iterdir() if item.name.startswith("."))


def sold_cub(tmp_path: Path, shop: tuple[str, type[Shop]]) -> Source:
    """A miniature of CUB, packed as the shop's source."""
    url, handler = shop
    miniatures.cub(tmp_path / "made")
    archive = tarred(tmp_path / "made", handler.folder / "CUB_200_2011.tgz")
    return Source("shop", (File(archive.name, f"{url}/{archive.name}", sha256(archive)),))


def test_fetch_downloads_checks_unpacks_and_leaves_nothing_else(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    source = sold_cub(tmp_path, shop)
    lines: list[str] = []
    root = tmp_path / "data" / "cub"
    assert fetch("cub", cub, root, say=lines.append, sources=[source])
    assert len(cub.listing(root)) == 37
    assert sorted(item.name for item in root.iterdir()) == ["CUB_200_2011", "counts.txt"]
    assert any("100 %" in line for line in lines)
    assert fetch("cub", cub, root, say=lines.append, sources=[])
    assert "already whole" in lines[-1]


def test_of_two_fetches_at_once_one_downloads_and_the_other_waits_for_it(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    source = sold_cub(tmp_path, shop)
    root, both_are_here, lines = tmp_path / "data" / "cub", threading.Barrier(2), list[str]()

    def say(line: str) -> None:
        lines.append(line)
        if "downloading from" in line or "waiting for it" in line:
            both_are_here.wait(60)

    with ThreadPoolExecutor(2) as pool:
        fetches = [
            pool.submit(fetch, "cub", cub, root, say=say, sources=[source]) for _ in range(2)
        ]
        assert [one.result() for one in fetches] == [True, True]
    assert shop[1].requested_ranges == [None]
    assert sum("where another process fetched it" in line for line in lines) == 1
    assert len(cub.listing(root)) == 37
    assert leftovers(root) == []


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(Problem, match=r"cannot be made .*give another folder with --data"):
        fetch("cub", cub, tmp_path / "data" / "cub", say=silent, sources=[])


def test_a_broken_off_download_carries_on_where_it_was(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    url, handler = shop
    content = np.random.default_rng(0).bytes(300_000)
    (handler.folder / "a.zip").write_bytes(content)
    handler.break_after = [100_000, 50_000]
    got = download(File("a.zip", f"{url}/a.zip"), tmp_path, silent)
    assert got.read_bytes() == content
    assert handler.requested_ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "shop"]


def test_a_later_call_resumes_but_never_mixes_two_versions(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    url, handler = shop
    file = File("a.zip", f"{url}/a.zip")
    (handler.folder / "a.zip").write_bytes(b"x" * 200_000)
    handler.break_after = [90_000, 0]
    with pytest.raises(Problem, match="broke off after 90,000 bytes"):
        download(file, tmp_path, silent)
    assert (tmp_path / "a.zip.part").stat().st_size == 90_000
    (handler.folder / "a.zip").write_bytes(b"y" * 210_000)
    handler.etag = '"two"'
    assert download(file, tmp_path, silent).read_bytes() == b"y" * 210_000


def test_a_wrong_checksum_removes_the_download_and_names_both(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    url, handler = shop
    (handler.folder / "a.zip").write_bytes(b"other")
    wanted = "md5:" + "0" * 32
    given = hashlib.md5(b"other").hexdigest()
    with pytest.raises(Problem, match=f"{given} instead of {'0' * 32}"):
        download(File("a.zip", f"{url}/a.zip", wanted), tmp_path, silent)
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(("file", "message"), [("page.html", "web page"), ("gone.zip", "404")])
def test_web_pages_and_dead_links_are_not_taken_for_archives(
    tmp_path: Path, shop: tuple[str, type[Shop]], file: str, message: str
) -> None:
    url, handler = shop
    (handler.folder / "page.html").write_text("<html>confirm</html>")
    with pytest.raises(Problem, match=message):
        download(File("a.zip", f"{url}/{file}"), tmp_path, silent)


def test_fetch_goes_on_to_the_next_source_and_then_to_the_steps_by_hand(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    url, handler = shop
    miniatures.cars(tmp_path / "made", layout="csv")
    zipped(tmp_path / "made", handler.folder / "b.zip")
    (handler.folder / "half.zip").write_bytes((handler.folder / "b.zip").read_bytes()[:9_000])
    first, second, third = (
        Source(name, (File(f"{name}.zip", f"{url}/{name}.zip"),)) for name in ("gone", "half", "b")
    )
    root = tmp_path / "cars"
    lines: list[str] = []
    assert not fetch("cars", cars, root, say=lines.append, sources=[first, second])
    text = "\n".join(lines)
    assert "404" in text
    assert "no whole archive" in text
    assert f"put it at {root}/archive.zip" in text
    assert leftovers(root) == []
    assert list(root.iterdir()) == []
    assert fetch("cars", cars, root, say=silent, sources=[first, third])
    assert len(cars.listing(root)) == 37


def test_an_archive_of_the_wrong_size_never_shows_in_the_folder(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    url, handler = shop
    miniatures.cub(tmp_path / "made")
    (tmp_path / "made" / "CUB_200_2011" / cub.listing(tmp_path / "made").paths[8][13:]).unlink()
    tarred(tmp_path / "made", handler.folder / "c.tgz")
    lines: list[str] = []
    root = tmp_path / "cub"
    source = Source("shop", (File("c.tgz", f"{url}/c.tgz"),))
    assert not fetch("cub", cub, root, say=lines.append, sources=[source])
    assert "1 of 37 images are missing" in "\n".join(lines)
    assert list(root.iterdir()) == []


def test_half_a_dataset_in_the_way_is_named_before_anything_is_downloaded(
    tmp_path: Path, shop: tuple[str, type[Shop]]
) -> None:
    url, handler = shop
    (tmp_path / "cub" / "CUB_200_2011").mkdir(parents=True)
    source = Source("shop", (File("c.tgz", f"{url}/c.tgz"),))
    with pytest.raises(Problem, match="holds CUB_200_2011, which is no whole copy"):
        fetch("cub", cub, tmp_path / "cub", say=silent, sources=[source])
    assert handler.requested_ranges == []


def test_files_placed_by_hand_are_unpacked_and_kept(tmp_path: Path) -> None:
    miniatures.inshop(tmp_path / "made")
    root = tmp_path / "inshop"
    root.mkdir()
    (tmp_path / "made" / "Eval" / "list_eval_partition.txt").rename(
        root / "list_eval_partition.txt"
    )
    (tmp_path / "made" / "Eval").rmdir()
    zipped(tmp_path / "made", root / "img.zip")
    assert fetch("inshop", inshop, root, say=silent)
    assert len(inshop.listing(root)) == 37
    assert (root / "img.zip").is_file()


def test_inshop_without_files_gives_the_steps(tmp_path: Path) -> None:
    lines: list[str] = []
    assert not fetch("inshop", inshop, tmp_path / "inshop", say=lines.append)
    text = "\n".join(lines)
    assert "mmlab.ie.cuhk.edu.hk" in text
    assert "Eval/list_eval_partition.txt" in text


@pytest.fixture(params=[True, False], ids=["filters", "no filters"])
def with_and_without_filters(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tarfile as it is, and as it is in Python before 3.11.4, which Debian 12 has."""
    if not request.param:
        for name in ("data_filter", "FilterError"):
            monkeypatch.delattr(tarfile, name, raising=False)


@pytest.mark.usefixtures("with_and_without_filters")
def test_a_tar_archive_is_unpacked_with_rights_to_read_it_and_without_links_to_elsewhere(
    tmp_path: Path,
) -> None:
    (tmp_path / "x").write_text("x")
    for name, target in (("good", None), ("bad", "../../elsewhere")):
        into = tmp_path / name
        into.mkdir()
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            member = tar.gettarinfo(tmp_path / "x", "a/x")
            member.mode, member.uid = 0o4022, 12345
            with (tmp_path / "x").open("rb") as content:
                tar.addfile(member, content)
            if target is not None:
                link = tarfile.TarInfo("a/link")
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
    unpack(tmp_path / "good.tar", tmp_path / "good")
    state = (tmp_path / "good" / "a" / "x").stat()
    assert (state.st_mode & 0o7777, state.st_uid) == (0o600, os.getuid())
    with pytest.raises(Problem, match=r"bad\.tar: .*a/link"):
        unpack(tmp_path / "bad.tar", tmp_path / "bad")
    assert not (tmp_path / "bad" / "a" / "link").is_symlink()


@pytest.mark.parametrize("evil", ["../out.txt", "/tmp/out-of-the-archive.txt", "a/../../out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.usefixtures("with_and_without_filters")
def test_archives_that_would_write_outside_are_refused(
    tmp_path: Path, evil: str, kind: str
) -> None:
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    (tmp_path / "x").write_text("x")
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "x", "placeholder")
            archive.infolist()[0].filename = evil
    else:
        with tarfile.open(path, "w") as tar:
            member = tar.gettarinfo(tmp_path / "x")
            member.name = evil
            with (tmp_path / "x").open("rb") as content:
                tar.addfile(member, content)
    if kind == "tar" and evil.startswith("/"):
        unpack(path, into)  # tarfile's own rule: the leading slash is dropped
        assert (into / evil.lstrip("/")).is_file()
    else:
        with pytest.raises(Problem, match="outside"):
            unpack(path, into)
    assert sorted(p.name for p in tmp_path.rglob("*out*")) in ([], ["out-of-the-archive.txt"])
    assert not Path("/tmp/out-of-the-archive.txt").exists()


@pytest.mark.parametrize("action", ["fetch", "verify"])
def test_an_unknown_name_is_a_problem_that_lists_the_known_ones(
    tmp_path: Path, action: str
) -> None:
    code, _, message = call("data", action, "cubs", "--data", tmp_path)
    assert code == 2
    assert "cars, cub, emoji, glyphs, inshop, sop, stamps" in message
