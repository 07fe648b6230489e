"""stamps: 307 cut-outs, mostly photographs, of 31 kinds of things; a small test on photographs.

Tux Paint's stamps, of Debian's package tuxpaint-stamps-default. A class is a kind of thing, as the
package sorts them; the image is cut at what is opaque, and stands in the middle of a white square
of 256 pixels. Kinds that are cartoons, letters or symbols are left out, and those of fewer than
four photographs. It is far too small to rank losses: it shows whether a study runs on photographs.

The order of the classes is drawn by a seed: the first 15 are trainval, the last 16 test.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from harness.data import Say, deb, drawn
from harness.data.listing import Counts, File, Listing, Source

NAME = "stamps"
COUNTS = Counts(images=307, classes=31)
PIXELS = "b51434c7cdbb3e2b5218f2a53cce4b3eb6dc54796c0259b2b637debd7161464c"
STAMPS = "/usr/share/tuxpaint/stamps/"  # where the package installs them
KINDS = (
    *("animals/birds", "animals/fish", "animals/insects", "animals/mammals"),
    *("animals/mammals/aquatic", "animals/mammals/bovines", "animals/mammals/cats"),
    *("animals/mammals/deer", "animals/mammals/equines", "animals/mammals/rodents"),
    *("clothes/hats", "food/fruit", "food/nuts", "food/vegetables", "hobbies/music/string"),
    *("household", "household/arttools", "household/dishes", "household/tools", "medical"),
    *("plants", "plants/flowers", "plants/trees", "space/planets", "sports"),
    *("symbols/money/canadian/coins", "symbols/money/euro/coins", "symbols/money/japanese"),
    *("symbols/money/us/coins", "town/roadsigns", "vehicles/auto"),
)
MIRRORED = "_mirror"  # ends the name of a stamp that is another one mirrored
SIDE, MARGIN = 256, 8  # pixels

LICENCE = "GPL-2 by the package's copyright file"
WHERE = (
    f"cut-outs of Debian's tuxpaint-stamps-default (161 MB), mostly photographs; licence: {LICENCE}"
)
_PACKAGE, _VERSION = "tuxpaint-stamps-default", "2022.06.04-1"
_SHA256 = "sha256:6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"
SOURCES = tuple(
    Source(name, (File(f"{_PACKAGE}.deb", address, _SHA256, 160_880_444),))
    for name, address in {
        "apt-get": f"apt:{_PACKAGE}={_VERSION}",
        "Debian's snapshots": "https://snapshot.debian.org/archive/debian/20230611T000000Z/pool/"
        f"main/t/tuxpaint-stamps/{_PACKAGE}_{_VERSION}_all.deb",
    }.items()
)
BY_HAND = (
    f"Get version {_VERSION} of Debian's package {_PACKAGE} (161 MB), from a Debian mirror or, on",
    f"a Debian 12, by `apt-get download {_PACKAGE}`; nothing has to be installed.",
    f"Put it at {{root}}/{_PACKAGE}.deb and run this command again; it checks and unpacks it.",
)


def listing(root: Path) -> Listing:
    """The images below `root`/images, class after class; each is named after its stamp."""
    return drawn.listing(NAME, root, COUNTS, PIXELS)


def build(files: Sequence[Path], into: Path, say: Say) -> None:
    """Write the stamps of KINDS, out of the package `files`[0], into `into`/images."""
    say(f"{NAME}: unpacking {files[0].name}")
    for path, content in deb.files(files[0]):
        stamp = PurePosixPath(path.removeprefix(STAMPS))
        is_one = stamp.suffix == ".png" and not stamp.stem.endswith(MIRRORED)
        if is_one and str(stamp.parent) in KINDS:
            target = into / drawn.IMAGES / str(stamp.parent).replace("/", "_") / stamp.name
            target.parent.mkdir(parents=True, exist_ok=True)
            square(Image.open(io.BytesIO(content))).save(target)
    drawn.write_digest(into)


def square(image: Image.Image) -> Image.Image:
    """What is opaque of the image, on a white square of SIDE pixels, MARGIN away from its sides."""
    layered = image.convert("RGBA")
    layered = layered.crop(layered.getchannel("A").getbbox())
    scale = (SIDE - 2 * MARGIN) / max(layered.size)
    width, height = (max(1, round(scale * length)) for length in layered.size)
    layered = layered.resize((width, height), Image.Resampling.BICUBIC)
    white = Image.new("RGBA", (SIDE, SIDE), "white")
    white.alpha_composite(layered, ((SIDE - width) // 2, (SIDE - height) // 2))
    return white.convert("RGB")
