"""`score` against pytorch-metric-learning, scikit-learn and plain bootstraps, and its mistakes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from sklearn.neighbors import NearestNeighbors

from tests.made import call
from tests.twins import retrieval as twins

METRICS = ["map_at_r", "r_precision", "precision_at_1", "recall_at_1", "recall_at_4"]


def embedded(classes: int = 30, n: int = 300, *, seed: int = 0):
    """Rows around centres of classes of unlike sizes, none of one image alone, and their labels."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(classes, 2.0))
    labels = np.concatenate([np.arange(classes).repeat(2), rng.choice(classes, n, p=shares)])
    x = rng.normal(size=(classes, 12))[labels] + rng.normal(size=(len(labels), 12))
    return x.astype(np.float32), labels


def write_csv(path: Path, /, **columns: object) -> Path:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]))
    return path


def write_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def scored(*words: object) -> dict[str, dict[str, dict[str, float]]]:
    """What the command prints as JSON: embeddings -> metric -> mean, low, high."""
    code, out, err = call("score", *words, "--recall-at", 1, 4, "--format", "json")
    assert (code, err) == (0, "")
    by_name: dict[str, dict[str, dict[str, float]]] = {}
    for row in json.loads(out)["scores"]:
        by_name.setdefault(row["embeddings"], {})[row["metric"]] = row
    return by_name


def by_query(x: np.ndarray, labels: np.ndarray, metric: str = "cosine") -> dict[str, np.ndarray]:
    """Every query's scores, from scikit-learn's ranking of all other rows."""
    search = NearestNeighbors(metric=metric, algorithm="brute").fit(x.astype(np.float64))
    ranked = search.kneighbors(n_neighbors=len(x) - 1, return_distance=False)
    scores: dict[str, list[float]] = {name: [] for name in METRICS}
    for i, row in enumerate(ranked):
        hits = labels[row] == labels[i]
        r = hits.sum()
        precision = np.cumsum(hits[:r]) / np.arange(1, r + 1)
        scores["map_at_r"].append(float((precision * hits[:r]).sum() / r))
        scores["r_precision"].append(hits[:r].mean())
        scores["precision_at_1"].append(float(hits[0]))
        scores["recall_at_1"].append(float(hits[0]))
        scores["recall_at_4"].append(float(hits[:4].any()))
    return {name: np.array(values) for name, values in scores.items()}


def resampled(values: np.ndarray, labels: np.ndarray, draws: int = 10_000) -> tuple[float, float]:
    """95 % of the means over the queries of classes that are drawn one by one."""
    rng, classes = np.random.default_rng(9), np.unique(labels)
    drawn = rng.choice(classes, (draws, len(classes)))
    sums, sizes = (
        np.array([of_class(values[labels == c]) for c in classes]) for of_class in (np.sum, len)
    )
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    return tuple(np.quantile(means, [0.025, 0.975]))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two models' embeddings of the same images, the second a noisy copy of the first."""
    where = tmp_path_factory.mktemp("score")
    x, labels = embedded()
    y = x + np.random.default_rng(4).normal(size=x.shape).astype(np.float32)
    names = write_csv(where / "labels.csv", label=[f"class {c}" for c in labels])
    return write_npy(where / "x.npy", x), write_npy(where / "y.npy", y), names, x, y, labels


def test_scores_equal_those_of_pytorch_metric_learning_and_of_scikit_learn(files):
    path, _, names, x, _, labels = files
    scores = scored(path, names)["A"]
    theirs = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
    ).get_accuracy(torch.from_numpy(x).double(), torch.from_numpy(labels))
    assert scores["map_at_r"]["mean"] == pytest.approx(
        theirs["mean_average_precision_at_r"], abs=1e-9
    )
    assert scores["r_precision"]["mean"] == pytest.approx(theirs["r_precision"], abs=1e-9)
    assert scores["precision_at_1"]["mean"] == pytest.approx(theirs["precision_at_1"], abs=1e-9)
    for metric, values in by_query(x, labels).items():
        assert scores[metric]["mean"] == pytest.approx(values.mean(), abs=1e-12), metric
    euclidean = scored(path, names, "--distance", "euclidean")["A"]
    for metric, values in by_query(x, labels, "euclidean").items():
        assert euclidean[metric]["mean"] == pytest.approx(values.mean(), abs=1e-12), metric
    assert euclidean["map_at_r"] != scores["map_at_r"]


def test_intervals_and_the_paired_difference_are_those_of_classes_drawn_one_by_one(files):
    path, other, names, x, y, labels = files
    scores = scored(path, names, "--also", other)
    first, second = by_query(x, labels), by_query(y, labels)
    for metric in METRICS:
        values = {
            "A": first[metric],
            "B": second[metric],
            "A - B": first[metric] - second[metric],
        }
        for name, of_queries in values.items():
            row = scores[name][metric]
            assert row["mean"] == pytest.approx(of_queries.mean(), abs=1e-12)
            expected = resampled(of_queries, labels)
            assert (row["low"], row["high"]) == pytest.approx(expected, abs=0.01), (name, metric)
    assert scores["A"] == scored(path, names)["A"]
    reverse = scored(other, names, "--also", path)
    assert reverse["A - B"]["map_at_r"]["low"] == pytest.approx(
        -scores["A - B"]["map_at_r"]["high"], abs=1e-12
    )


def test_embeddings_beside_themselves_differ_by_nothing(files):
    path, _, names = files[:3]
    for row in scored(path, names, "--also", path)["A - B"].values():
        assert (row["mean"], row["low"], row["high"]) == (0.0, 0.0, 0.0)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_order_of_the_rows_changes_nothing(files, seed):
    path, _, names, x, _, labels = files
    order = np.random.default_rng(seed).permutation(len(labels))
    where = path.parent
    permuted = write_npy(where / "permuted.npy", x[order])
    texts = write_csv(where / "permuted.csv", label=[f"class {c}" for c in labels[order]])
    expected = scored(path, names)["A"]
    for metric, row in scored(permuted, texts)["A"].items():
        for value in ("mean", "low", "high"):
            assert row[value] == pytest.approx(expected[metric][value], abs=1e-12)


def test_queries_galleries_and_groups_of_the_labels_score_as_the_twin(tmp_path):
    x, labels = embedded(6, 60, seed=3)
    rng = np.random.default_rng(8)
    is_query, is_gallery = rng.random(len(x)) < 0.4, rng.random(len(x)) < 0.8
    groups = rng.integers(-1, 3, len(x))
    arguments = {"label": labels, "is_query": is_query, "is_gallery": is_gallery.astype(int)}
    cameras = ["" if group == -1 else f"camera {group}" for group in groups]
    table = write_csv(tmp_path / "table.csv", **arguments, group=cameras, path=["a.jpg"] * len(x))
    words = (write_npy(tmp_path / "x.npy", x), table, "--distance", "euclidean")
    expected = twins.retrieval_scores_with_galleries(
        x,
        labels.tolist(),
        is_query=is_query.tolist(),
        is_gallery=is_gallery.tolist(),
        groups=groups.tolist(),
        ks=[1, 4],
    )
    scores = scored(*words)["A"]
    for metric in METRICS:
        assert scores[metric]["mean"] == pytest.approx(expected[metric], abs=1e-12), metric
        assert scores[metric]["queries"] == expected["queries"]
    _, out, _ = call("score", *words)
    n_queries, n_gallery = int(is_query.sum()), int(is_gallery.sum())
    assert f"{n_queries} queries, {n_gallery} images in the gallery, of {len(x)} images" in out
    assert "leaves out the images of its class and group" in out
    assert "Columns that nothing reads: path." in out


def test_the_same_labels_score_the_same_in_whatever_form_they_are_given(files, tmp_path):
    path, _, names, x, _, labels = files
    expected = scored(path, names)["A"]
    texts = [f"class {c}" for c in labels]
    (tmp_path / "plain.csv").write_bytes("\r\n".join([*texts, ""]).encode("utf-8-sig"))
    write_npy(tmp_path / "texts.npy", np.array(texts))
    write_npy(tmp_path / "bytes.npy", np.array(texts, dtype="S"))
    for form in ("plain.csv", "texts.npy", "bytes.npy"):
        assert scored(path, tmp_path / form)["A"] == expected, form
    numbers = scored(path, write_npy(tmp_path / "numbers.npy", labels))["A"]
    assert numbers["map_at_r"]["mean"] == expected["map_at_r"]["mean"]
    np.savez(tmp_path / "x.npz", embeddings=np.asfortranarray(x.astype(">f8")), other=labels)
    assert scored(tmp_path / "x.npz", names)["A"] == expected


def test_half_precision_and_whole_numbers_score_as_the_numbers_that_they_are(files, tmp_path):
    x, names = files[3], files[2]
    for kind in ("float16", "int8", "int32"):
        narrow = (x * 20).astype(kind)
        path = write_npy(tmp_path / f"{kind}.npy", narrow)
        wide = write_npy(tmp_path / f"{kind}_wide.npy", narrow.astype(np.float64))
        assert scored(path, names)["A"] == scored(wide, names)["A"]


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_very_short_and_very_long_rows_score_as_others_by_either_distance(files, tmp_path, factor):
    path, _, names, x, _, _ = files
    scaled = write_npy(tmp_path / "scaled.npy", x.astype(np.float64) * factor)
    for distance in ("cosine", "euclidean"):
        words = (names, "--distance", distance)
        assert scored(scaled, *words)["A"] == scored(path, *words)["A"]


def test_queries_without_a_positive_are_counted_and_the_files_named_by_their_digests(tmp_path):
    x = np.random.default_rng(0).normal(size=(7, 3))
    path = write_npy(tmp_path / "x.npy", x)
    names = write_csv(tmp_path / "labels.csv", label=list("aabbbcd"))
    code, out, err = call("score", path, names)
    assert (code, err) == (0, "")
    assert "5 queries of 2 classes. 2 more queries have no other image of their class" in out
    for file in (path, names):
        assert f"SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}" in out
    assert [line.split()[1] for line in out.splitlines()[2:9]] == [
        *("MAP@R", "RP", "P@1", "R@1", "R@2", "R@4", "R@8")
    ]


def test_diagnostics_are_those_of_all_rows_and_have_no_interval(tmp_path):
    labels = np.repeat(np.arange(5), 6)
    apart = np.eye(5, 8)[labels] + 1e-3 * np.random.default_rng(0).normal(size=(30, 8))
    mixed = np.random.default_rng(1).normal(size=(30, 8))
    paths = [write_npy(tmp_path / f"{i}.npy", rows) for i, rows in enumerate((apart, mixed))]
    names = write_csv(tmp_path / "labels.csv", label=labels, is_query=np.arange(30) % 2)
    words = (paths[0], names, "--also", paths[1], "--diagnostics", "nmi", "uniformity")
    code, out, _ = call("score", *words, "--format", "json")
    rows = {(row["metric"], row["embeddings"]): row for row in json.loads(out)["scores"]}
    assert code == 0
    nmi = [rows["nmi", name]["mean"] for name in ("A", "B", "A - B")]
    assert 1 >= nmi[0] > 0.8 > nmi[1] > 0  # k-means may miss a class of the first
    assert nmi[2] == nmi[0] - nmi[1]
    unit = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    squared = ((unit[:, None] - unit) ** 2).sum(2)[np.triu_indices(30, 1)]
    assert rows["uniformity", "B"]["mean"] == pytest.approx(np.log(np.exp(-2 * squared).mean()))
    assert rows["nmi", "B"]["low"] is None
    assert "NMI, uniformity: of all rows together" in json.loads(out)["caption"]
    lines = call("score", *words)[1].splitlines()
    assert any(line.startswith("| NMI ") and f"| {100 * nmi[0]:.2f} " in line for line in lines)


def test_a_diagnostic_that_a_file_cannot_have_is_named(tmp_path):
    path, labels = write_npy(tmp_path / "x.npy", np.eye(6)), tmp_path / "labels.csv"
    labels.write_text("a\na\nb\nb\nc\nc\n")
    for name, reason in (("avg_dtp", "known: nmi"), ("verification_accuracy", "leave it out of")):
        code, _, err = call("score", path, labels, "--diagnostics", name)
        assert (code, reason in err, err.count("\n")) == (2, True, 1), err


def test_a_diagnostic_without_a_value_keeps_its_row_and_is_named(tmp_path):
    labels = write_npy(tmp_path / "labels.npy", np.arange(12) % 3)
    rows = np.random.default_rng(0).normal(size=(12, 4))
    path = write_npy(tmp_path / "rows.npy", rows)
    same = write_npy(tmp_path / "same.npy", np.ones((12, 4)))
    words = (path, labels, "--also", same, "--diagnostics", "density_ratio", "alignment")
    out = call("score", *words)[1]
    (line,) = (line for line in out.splitlines() if line.startswith("| density ratio "))
    assert [cell.strip() for cell in line.split("|")[3:-1]] == ["-"] * 5
    assert "Infinite or not defined, so without a value: density ratio of B." in out
    data = json.loads(call("score", *words, "--format", "json")[1])
    values = {(row["metric"], row["embeddings"]): row["mean"] for row in data["scores"]}
    assert values["density_ratio", "A"] > 0
    assert values["density_ratio", "B"] is values["density_ratio", "A - B"] is None
    assert "density_ratio,B,,,,," in call("score", *words, "--format", "csv")[1].splitlines()
    assert "not defined" not in call("score", *words[:2], *words[4:])[1]


@pytest.mark.parametrize("k", [13, 10**20])
def test_more_neighbours_than_rows_are_refused_as_what_they_are(tmp_path, k):
    labels = write_npy(tmp_path / "labels.npy", np.arange(12) % 3)
    path = write_npy(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(12, 4)))
    code, _, err = call("score", path, labels, "--recall-at", 1, k)
    assert (code, err) == (2, f"harness: R@{k}: {labels} has 12 rows; give K of at most 12\n")
    assert call("score", path, labels, "--recall-at", 12)[0] == 0
    few = write_npy(tmp_path / "few.npy", np.eye(4))
    assert call("score", few, write_npy(tmp_path / "few_labels.npy", np.arange(4) % 2))[0] == 0


def test_csv_holds_shares_of_1_of_every_metric_and_file(files):
    path, other, names = files[:3]
    _, out, _ = call("score", path, names, "--also", other, "--format", "csv", "--recall-at", 1, 4)
    lines = [line for line in out.splitlines() if not line.startswith("# ")]
    assert lines[0] == "metric,embeddings,mean,low,high,queries,classes"
    assert len(lines) == 1 + 3 * len(METRICS)
    scores = scored(path, names, "--also", other)
    for line in lines[1:]:
        metric, name, mean, low, high, queries, classes = line.split(",")
        row = scores[name][metric]
        assert [float(mean), float(low), float(high)] == [row["mean"], row["low"], row["high"]]
        assert (int(queries), int(classes)) == (len(files[5]), 30)


class Planted:
    """An object that leaves a file behind where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


X = np.arange(12.0, dtype=np.float32).reshape(6, 2) + 1
NPY = npy_bytes(X)
GOOD = b"label\na\na\na\nb\nb\nb\n"


@pytest.mark.parametrize(
    ("rows", "labels", "expected"),
    [
        (None, GOOD, "there is no file x.npy"),
        (X, None, "there is no file labels.csv"),
        (X[:5], GOOD, "x.npy holds 5 rows and labels.csv 6 labels"),
        (X.reshape(6, 2, 1), GOOD, "the shape [6, 2, 1]; [images, dimensions] is needed"),
        (X[:0], GOOD, "the shape [0, 2]"),
        (X + 1j, GOOD, "x.npy holds complex64, where float16, float32 or float64 is needed"),
        (X.astype(str), GOOD, "where float16, float32 or float64 is needed"),
        (X > 4, GOOD, "x.npy holds bool"),
        (
            np.where(X == 5, np.nan, X),
            GOOD,
            "1 of 6 rows hold NaN or infinite values, the first is row 2 (from 0)",
        ),
        (np.where(X > 8, np.inf, X), GOOD, "2 of 6 rows hold NaN or infinite values"),
        (X * (X > 2), GOOD, "row 0 (from 0) is all zeros and has no direction"),
        (b"no array", GOOD, "x.npy: it cannot be read: it is no file of NumPy's"),
        (NPY[:-1], GOOD, "x.npy: it cannot be read: "),
        (NPY[:50], GOOD, "x.npy: it cannot be read: "),
        (pickle.dumps(Planted()), GOOD, "x.npy: it cannot be read"),
        (np.array([[Planted()] * 2] * 6), GOOD, "Python objects, which are never unpickled"),
        (X, b"label\na\na\na\na\na\na\n", "all 6 labels are 'a'; with a single class"),
        (X, b"a\nb\nc\nd\ne\nf\n", "no query has a positive: every class holds a single image"),
        (X, b"a\na\na\nb\nc\nd\n", "only queries of one class have a positive in their gallery"),
        (X, b"label\na\na\n\nb\nb\nb\n", "row 2 (from 0) has 0 cells, where 1 are needed"),
        (X, b"label,is_query\na,1\na,0\na,0\nb,1\nb,0\n", "x.npy holds 6 rows and labels.csv 5"),
        (X, b"label,path\na,x\n,y\nb,z\n", "row 1 (from 0) has no label"),
        (X, b"label\na\na\nNaN\nb\nb\nb\n", "row 2 (from 0) has the label NaN; every image"),
        (X, b"label;group\na;1\nb;2\n", "its columns are separated by ';'; commas are needed"),
        (X, b"class,path\na,x\n", "begins with 'class,path'; a header with the column `label`"),
        (X, b"label,is_querry\na,1\n", "no column 'is_querry' is known; did you mean 'is_query'?"),
        (X, b"label,label\na,a\n", "the column 'label' is there 2 times"),
        (X, b"label,is_query\na,1\nb,maybe\n", "row 1 (from 0) has is_query = 'maybe'; true or"),
        (X, b"label,is_query\na,\nb,0\n", "row 0 (from 0) has is_query = ''"),
        (X, b"label,is_gallery\na,0\nb,0\n", "is_gallery is false in every row"),
        (X, b"label\n", "labels.csv holds a header and no rows"),
        (X, b"", "labels.csv begins with ''"),
        (X, b'label\n"a\n', "labels.csv: line 2: unexpected end of data; save it as CSV again"),
    ],
)
def test_a_bad_file_ends_in_one_line_that_says_what_is_wrong_with_it(
    rows, labels, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if isinstance(rows, bytes):
        Path("x.npy").write_bytes(rows)
    elif rows is not None:
        np.save("x.npy", rows, allow_pickle=True)
    if labels is not None:
        Path("labels.csv").write_bytes(labels)
    code, out, err = call("score", "x.npy", "labels.csv")
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not Path("unpickled").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["x.txt", "labels.npy"], "x.txt: embeddings are read from .npy or .npz"),
        (["x.npy", "labels.json"], "labels.json: labels are read from .csv or .npy"),
        (["x.npy", "floats.npy"], "floats.npy holds labels of the type float64"),
        (["x.npy", "x.npy"], "x.npy holds an array of the shape [6, 2]; [images] is needed"),
        (
            ["several.npz", "labels.npy"],
            "several.npz holds the arrays a, b; one array, or one "
            "named embeddings or features, is needed",
        ),
        (["x.npy", "labels.npy", "--also", "short.npy"], "short.npy holds 5 rows and labels.npy 6"),
        (["x.npy", "labels.npy", "--device", "qpu"], "no device 'qpu'"),
    ],
)
def test_a_file_of_another_kind_ends_in_one_line_that_says_which_are_read(
    words, expected, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    labels = np.arange(6) // 3
    np.save("x.npy", X)
    np.save("short.npy", X[:5])
    np.save("labels.npy", labels)
    np.save("floats.npy", labels + 0.5)
    np.savez("several.npz", a=X, b=X)
    code, out, err = call("score", *words)
    assert (code, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1
