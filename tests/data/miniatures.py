"""Small datasets in the exact on-disk formats of the real ones, odd files included.

Images show stripes whose hue, direction and spacing tell the class, so that a network can learn
them. Every function writes below `root` and says in counts.txt what it wrote.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

ODD = ("grey", "cmyk", "alpha", "palette")


def picture(label: int, number: int, short: int = 24) -> Image.Image:
    """The image `number` of class `label`, its shorter side `short` pixels or a little more."""
    rng = np.random.default_rng([label, number])
    height, width = short + rng.integers(0, short // 2, 2)
    y, x = np.mgrid[:height, :width] / short
    angle, spacing = 2.4 * label, 2 + label % 5
    phase = rng.uniform(0, 2 * np.pi)
    stripes = 0.5 + 0.5 * np.sin(
        2 * np.pi * spacing * (x * np.cos(angle) + y * np.sin(angle)) + phase
    )
    colour = np.array(colorsys.hsv_to_rgb((0.618 * label) % 1, 0.8, 1.0))
    pixels = stripes[:, :, None] * colour * 220 + rng.normal(0, 12, (height, width, 3)) + 15
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def save(path: Path, image: Image.Image, kind: str = "rgb") -> None:
    """Write a JPEG (kinds rgb, grey, cmyk) or a PNG (alpha, palette), whatever the path ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "alpha":
        image = image.convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        image.save(path, "PNG")
    elif kind == "palette":
        image.quantize(32).save(path, "PNG")
    else:
        mode = {"rgb": "RGB", "grey": "L", "cmyk": "CMYK"}[kind]
        image.convert(mode).save(path, "JPEG", quality=90)


def truncate(path: Path) -> None:
    """Cut a file off in the middle of its image data."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def say_counts(root: Path, images: int, classes: int) -> None:
    root.mkdir(parents=True, exist_ok=True)
    text = f"# a miniature\nimages {images}\nclasses {classes}\n"
    (root / "counts.txt").write_text(text)


def kind_of(number: int) -> str:
    """The first images of a dataset are the odd ones."""
    return ODD[number] if number < len(ODD) else "rgb"


def per_class(label: int, classes: int, images: int) -> int:
    """The last class has one image."""
    return 1 if label == classes - 1 else images


def cub(root: Path, *, classes: int = 10, images: int = 4, short: int = 24) -> int:
    """CUB_200_2011 with images.txt, image_class_labels.txt, classes.txt; returns how many images.

    image_class_labels.txt is in another order than images.txt, as nothing forbids.
    """
    base = root / "CUB_200_2011"
    names: list[str] = []
    labels: list[int] = []
    paths: list[str] = []
    for label in range(classes):
        name = f"{label + 1:03d}.{'Black_footed_Albatross' if label else 'Pájaro_鳥'}"
        names.append(f"{label + 1} {name}")
        for number in range(per_class(label, classes, images)):
            paths.append(f"{name}/{name[4:]}_{number:04d}_{label}ü.jpg")
            save(base / "images" / paths[-1], picture(label, number, short), kind_of(len(labels)))
            labels.append(label + 1)
    for file, lines in {
        "images.txt": [f"{i} {path}" for i, path in enumerate(paths, 1)],
        "image_class_labels.txt": [f"{i} {label}" for i, label in enumerate(labels, 1)][::-1],
        "classes.txt": names,
    }.items():
        (base / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    say_counts(root, len(paths), classes)
    return len(paths)


def cars(root: Path, *, layout: str, classes: int = 10, images: int = 4, short: int = 24) -> int:
    """Cars196 as "csv" (Kaggle jutrera), "single" (car_ims, cars_annos.mat) or "devkit".

    The same images in all three; every second image of a class is in the official test part.
    """
    names = [f"Make {label} Sedan 2012" for label in range(classes)]
    names[1] = "Ram C/V Cargo Van Minivan 2012"
    rows: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    single: list[tuple[str, int, int]] = []
    for label in range(classes):
        for number in range(per_class(label, classes, images)):
            part = "test" if number % 2 else "train"
            file = f"{len(rows[part]) + 1:05d}.jpg"
            whole = f"car_ims/{len(single) + 1:06d}.jpg"
            folder = {
                "csv": f"car_data/car_data/{part}/{names[label].replace('/', '-')}/{file}",
                "single": whole,
                "devkit": f"cars_{part}/{file}",
            }[layout]
            save(root / folder, picture(label, number, short), kind_of(len(single)))
            rows[part].append((file, label + 1))
            single.append((whole, label + 1, number % 2))
    _car_lists(root, layout, names, rows, single)
    say_counts(root, len(single), classes)
    return len(single)


def _car_lists(
    root: Path,
    layout: str,
    names: list[str],
    rows: dict[str, list[tuple[str, int]]],
    single: list[tuple[str, int, int]],
) -> None:
    box = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
    class_names = np.array(names, object)
    if layout == "csv":
        (root / "names.csv").write_text("\n".join(names) + "\n")
        for part, table in rows.items():
            lines = [f"{file},39,116,569,375,{number}" for file, number in reversed(table)]
            (root / f"anno_{part}.csv").write_text("\n".join(lines) + "\n")
    elif layout == "single":
        fields = ("relative_im_path", *box, "class", "test")
        annotations = np.zeros(len(single), [(name, object) for name in fields])
        for i, (path, number, test) in enumerate(single):
            annotations[i] = (path, 39, 116, 569, 375, np.uint8(number), np.uint8(test))
        savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": class_names})
    else:
        (root / "devkit").mkdir()
        savemat(root / "devkit" / "cars_meta.mat", {"class_names": class_names})
        for part, pairs in rows.items():
            annotations = np.zeros(
                len(pairs), [(name, object) for name in (*box, "class", "fname")]
            )
            for i, (file, number) in enumerate(pairs):
                annotations[i] = (39, 116, 569, 375, np.uint8(number), file)
            file = "devkit/cars_train_annos" if part == "train" else "cars_test_annos_withlabels"
            savemat(root / f"{file}.mat", {"annotations": annotations})


def sop(root: Path, *, classes: int = 10, images: int = 4, short: int = 24) -> int:
    """Stanford_Online_Products with Ebay_train.txt and Ebay_test.txt; one class more in train."""
    base = root / "Stanford_Online_Products"
    train = classes // 2 + 1
    lines = ["image_id class_id super_class_id path"]
    files = {"Ebay_train.txt": lines, "Ebay_test.txt": lines[:]}
    total = 0
    for label in range(classes):
        for number in range(per_class(label, classes, images)):
            total += 1
            folder = ("bicycle", "cabinet")[label % 2]
            path = f"{folder}_final/1110851{label:05d}_{number}.JPG"
            save(base / path, picture(label, number, short), kind_of(total - 1))
            half = "Ebay_train.txt" if label < train else "Ebay_test.txt"
            files[half].append(f"{total} {label + 1} {label % 2 + 1} {path}")
    for file, rows in files.items():
        (base / file).write_text("\r\n".join(rows) + "\r\n")
    say_counts(root, total, classes)
    return total


def inshop(root: Path, *, classes: int = 10, images: int = 4, short: int = 24) -> int:
    """Eval/list_eval_partition.txt and img; train, query and gallery items, ids not in order."""
    rows: list[str] = []
    for label in range(classes):
        item = f"id_{(7 * label) % 1000:08d}"
        for number in range(per_class(label, classes, images)):
            path = f"img/WOMEN/Dresses/{item}/{number:02d}_1_front.jpg"
            save(root / path, picture(label, number, short), kind_of(len(rows)))
            status = "train" if label % 2 == 0 else ("query", "gallery")[number % 2]
            rows.append(f"{path.ljust(70)} {item} {status.ljust(10)}")
    (root / "Eval").mkdir()
    text = "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows]) + "\n"
    (root / "Eval" / "list_eval_partition.txt").write_text(text)
    say_counts(root, len(rows), classes)
    return len(rows)


def folder(root: Path, *, classes: int = 4, images: int = 4, short: int = 24) -> int:
    """A folder per class, names in several scripts, images in several formats and sub-folders."""
    total = 0
    for label in range(classes):
        name = ("ångström", "Étoile", "zebra", "鳥", "b", "c", "d", "e")[label]
        for number in range(per_class(label, classes, images)):
            kind = kind_of(total)
            end = "png" if kind in ("alpha", "palette") else "jpg"
            within = "deeper/" if number == 1 else ""
            save(root / name / f"{within}{number} ö.{end}", picture(label, number, short), kind)
            total += 1
    return total
