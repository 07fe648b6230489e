"""Files of pairs in the exact formats of the toolkits, and files that are not."""

from __future__ import annotations

import io
import itertools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.data import face_pairs
from harness.data.face_pairs import Faces
from harness.schema import Problem


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (112, 112, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def bin_file(path: Path, n: int = 40, protocol: int = 2) -> Path:
    """As InsightFace's lfw2pack.py writes it."""
    images = [jpeg(k % 7) for k in range(2 * n)]
    with path.open("wb") as file:
        pickle.dump((images, [k % 2 == 0 for k in range(n)]), file, protocol=protocol)
    return path


def python_2_pickle(n: int) -> bytes:
    """Byte strings as Python 2 pickled them, with protocol 2: the published files are of it."""
    data = [jpeg(k) for k in range(2 * n)]
    content = b"\x80\x02]("
    for one in data:
        content += b"T" + len(one).to_bytes(4, "little") + one  # BINSTRING
    content += b"e](" + b"".join(b"\x88" if k % 2 else b"\x89" for k in range(n)) + b"e\x86."
    return content


@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_a_bin_file_gives_its_images_two_a_pair_in_ten_blocks(tmp_path, protocol):
    pairs = face_pairs.read(bin_file(tmp_path / "lfw.bin", protocol=protocol), None)
    assert pairs.name == "lfw"
    assert pairs.first.tolist()[:3] == [0, 2, 4]
    assert pairs.second.tolist()[:3] == [1, 3, 5]
    assert pairs.genuine.tolist() == [True, False] * 20
    assert np.bincount(pairs.fold).tolist() == [4] * 10
    assert (np.diff(pairs.fold) >= 0).all()
    faces = Faces(pairs.sources, 32, grey=False)
    assert faces[0].shape == (32, 32, 3)
    assert np.array_equal(faces[0], faces[14])
    assert not np.array_equal(faces[0], faces[1])
    assert Faces(pairs.sources, 32, grey=True)[0].shape == (32, 32, 1)


def test_a_bin_file_of_python_2_is_read_alike(tmp_path):
    path = tmp_path / "agedb_30.bin"
    path.write_bytes(python_2_pickle(20))
    pairs = face_pairs.read(path, None)
    assert pairs.sources[3] == jpeg(3)
    assert pairs.genuine.tolist() == [False, True] * 10


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/never-made-by-a-pickle",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Evil()), "it names posix.system"),
        (pickle.dumps(([jpeg(0)] * 3, [True])), "3 images for 1 pairs"),
        (pickle.dumps(([jpeg(0)] * 8, [True] * 4)), "4 pairs; 10 folds need 20"),
        (pickle.dumps((["text"] * 2, [True])), "no list of encoded images"),
        (pickle.dumps(([b""] * 2, ["yes"])), "no list of true and false"),
        (pickle.dumps({"images": []}), "holds dict"),
        (b"not a pickle", "cannot be read"),
        (b"\x80\x02]r\x40\x42\x0f\x00.", "it keeps object 2 as number 1000000"),
        (b"", "cannot be read"),
    ],
)
def test_what_is_no_bin_file_is_refused_in_a_line_and_runs_nothing(tmp_path, content, message):
    path = tmp_path / "broken.bin"
    path.write_bytes(content)
    with pytest.raises(Problem, match=message) as refused:
        face_pairs.read(path, None)
    assert "\n" not in str(refused.value)
    assert not Path("/tmp/never-made-by-a-pickle").exists()


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 3000), flipped=st.integers(0, 3000), to=st.integers(0, 255))
def test_a_torn_or_changed_bin_file_is_read_or_refused(tmp_path_factory, cut, flipped, to):
    content = bytearray(pickle.dumps(([b"x" * 60] * 40, [True, False] * 10), protocol=2))
    content[flipped % len(content)] = to
    path = tmp_path_factory.mktemp("torn") / "torn.bin"
    path.write_bytes(bytes(content[: max(1, len(content) - cut % 50)]))
    try:
        pairs = face_pairs.read(path, None)
    except Problem:
        return
    assert len(pairs.sources) == 2 * len(pairs.genuine)


def lfw(root: Path, folds: int = 2, per_fold: int = 3) -> tuple[Path, Path]:
    """pairs.txt and a folder as the LFW archive has them."""
    lines = [f"{folds}\t{per_fold}"]
    for fold in range(folds):
        people = [f"Person_{fold}_{k}" for k in range(per_fold + 1)]
        for person in people:
            (root / "lfw" / person).mkdir(parents=True)
            for number in (1, 2):
                picture = jpeg(hash((person, number)) % 1000)
                (root / "lfw" / person / f"{person}_{number:04}.jpg").write_bytes(picture)
        lines += [f"{person}\t1\t2" for person in people[:per_fold]]
        lines += [f"{a}\t1\t{b}\t2" for a, b in itertools.pairwise(people)]
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")
    return root / "pairs.txt", root / "lfw"


def test_lfws_own_pairs_give_the_files_the_kinds_and_the_folds(tmp_path):
    path, images = lfw(tmp_path)
    pairs = face_pairs.read(path, images)
    assert pairs.genuine.tolist() == [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3
    assert pairs.fold.tolist() == [0] * 6 + [1] * 6
    names = [pairs.sources[k].name for k in (pairs.first[0], pairs.second[0], pairs.second[3])]
    assert names == ["Person_0_0_0001.jpg", "Person_0_0_0002.jpg", "Person_0_1_0002.jpg"]
    assert Faces(pairs.sources, 64, grey=False)[0].shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("2\t3", "500", 1), "FOLDS N is expected"),
        (lambda text: text.replace("2\t3", "1\t6", 1), "two folds or more"),
        (lambda text: text.rsplit("\n", 2)[0], "11 pairs, but its first line says"),
        (lambda text: text.replace("\t1\t2", "\tone\t2", 1), "line 2: .*NAME i j is expected"),
        (lambda text: text.replace("Person_0_0\t1\t2", "Nobody\t1\t2", 1), "Nobody_0001.jpg"),
    ],
)
def test_a_line_that_is_not_of_the_form_is_named(tmp_path, change, message):
    path, images = lfw(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(Problem, match=message):
        face_pairs.read(path, images)


def test_a_text_of_pairs_needs_the_folder_of_its_images(tmp_path):
    path, _ = lfw(tmp_path)
    with pytest.raises(Problem, match="add --images FOLDER"):
        face_pairs.read(path, None)
    with pytest.raises(Problem, match="no file"):
        face_pairs.read(tmp_path / "none.bin", None)


def test_an_image_that_cannot_be_decoded_is_named():
    with pytest.raises(Problem, match="image 0 of the pairs cannot be decoded"):
        Faces([b"no image"], 32, grey=False)[0]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder, n in (("one", 40), ("two", 60)):
        (tmp_path / folder).mkdir()
        bin_file(tmp_path / folder / "lfw.bin", n)
    bin_file(tmp_path / "two" / "calfw.bin", 20)
    paths = [tmp_path / name for name in ("one/lfw.bin", "two/lfw.bin", "two/calfw.bin")]
    found = {pairs.name: len(pairs.genuine) for pairs in face_pairs.read_all(paths, None)}
    assert found == {"one/lfw": 40, "two/lfw": 60, "two/calfw": 20}
    alone = face_pairs.read_all([paths[0], paths[2], paths[0]], None)
    assert [pairs.name for pairs in alone] == ["lfw", "calfw"]  # the same file counts once


def test_pairs_of_one_kind_are_refused_before_anything_is_trained(tmp_path):
    with (tmp_path / "x.bin").open("wb") as file:
        pickle.dump(([jpeg(k % 7) for k in range(80)], [True] * 40), file)
    with pytest.raises(Problem, match="holds genuine pairs alone"):
        face_pairs.read(tmp_path / "x.bin", None)


def test_a_number_in_other_signs_is_no_number_of_an_image(tmp_path):
    (tmp_path / "pairs.txt").write_text("2 1\nA 1 \u00b2\nA 1 B 2\nA 1 2\nA 1 B 2\n")
    with pytest.raises(Problem, match="line 2: 'A 1 \u00b2'; NAME i j is expected"):
        face_pairs.read(tmp_path / "pairs.txt", tmp_path)
