"""emoji: 893 emoji as classes, each in 6 to 8 designs; 6,537 images of 256 pixels.

Eight sets of emoji, each of another design, lie as SVG in the npm packages @iconify-json/SET. A
class is an emoji that at least six sets have under the same name; an image is its drawing in one
set, on white. They are drawings, not photographs. As in SOP there are many classes of few images;
within a class the design differs. Images have the 256 pixels to which the protocol resizes.

Left out: variants of one emoji (skin tones, hair, the sexes of persons, families), which are one
drawing in other colours; flags, boxed texts, dials and plain shapes, which all sets draw alike; the
set fluent-emoji, whose drawings are nearly those of fluent-emoji-flat.

The order of the classes is drawn by a seed: the first 446 are trainval, the last 447 test.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data import Say, drawn
from harness.data.listing import Counts, File, Listing, Source

NAME = "emoji"
COUNTS = Counts(images=6_537, classes=893)
PIXELS = "1aca91c698021e5000c9b4120bc5c264b2b2ddcfe871af2452c9e68d875bc4fc"
NEEDS = {"resvg_py": "resvg-py"}
# set@version: the bytes and the SHA-256 of icons.json in its package
SETS = {
    "noto@1.2.9": (25_233_364, "9eac6ef4e7ec122b6f0e7ac281d61008afdbc720d0ce861e398b939daaa347c6"),
    "noto-v1@1.2.5": (
        8_273_516,
        "ce70d8aa90345cf389875c3571ecd245bd943401822a0c5a0f62336bf8487333",
    ),
    "twemoji@1.2.5": (
        10_187_099,
        "5d5d820790565b764f2728675d487c9ee4c1fc83916d8567d5aca8ba7527c242",
    ),
    "openmoji@1.2.29": (
        9_079_991,
        "7075331faab544067dbff4236471dd378bb5410aa05799a8a343c9ebf5c5984c",
    ),
    "fluent-emoji-flat@1.2.6": (
        8_958_092,
        "f5f4cf457c0db2ad5a2e42e033e02e0c87d10e43d0164cfffb3bb84914970a63",
    ),
    "emojione@1.2.3": (
        2_976_514,
        "e9a865faed523a7c3535b5319ae533d09fac1a62b4e96920eb178bb60e707e80",
    ),
    "emojione-v1@1.2.3": (
        10_458_456,
        "7209a500c5607daff4969e5d5ae25da710ab1877c29efec6199d3611a8d5c942",
    ),
    "fxemoji@1.2.2": (
        2_782_919,
        "d8ef67b94a32d0abcd314d1c35db56178eaa8fa8ad71130e312f3460e307c2bf",
    ),
}
FEWEST_DESIGNS = 6  # of an emoji that is a class
NAMES_OF = "noto"  # the set whose spelling names the classes
SIDE = 256
VARIANTS = re.compile(
    "|".join(
        (
            r"skin-tone|-hair$",  # one person in other colours
            r"^(?:man|woman|men|women)-|^(?:family|kiss|couple)",  # persons by sex, and together
            r"^flag|^regional",
            r"keycap|button$|^input-|^japanese|^squared",  # a text in a box
            r"oclock|-thirty$|^clock-face",  # a dial
            r"square|circle|arrow|diamond|hole$|(?:^|-)(?:left|right)wards",  # a plain shape
        )
    )
)
PROGRESS_SECONDS = 5.0  # between two lines of progress

LICENCES = (
    "noto, noto-v1, fxemoji Apache-2.0; fluent-emoji-flat MIT; twemoji, emojione CC BY 4.0; "
    "openmoji, emojione-v1 CC BY-SA 4.0"
)
WHERE = (
    "drawings in eight designs, from npm's @iconify-json packages (14 MB; 78 MB where npm is "
    f"missing); licences: {LICENCES}"
)


def _files(address: str) -> tuple[File, ...]:
    """icons.json of every set, where the packages lie at `address`."""
    return tuple(
        File(
            f"{package.partition('@')[0]}.json",
            f"{address}@iconify-json/{package}/icons.json",
            f"sha256:{digest}",
            size,
        )
        for package, (size, digest) in SETS.items()
    )


SOURCES = (
    Source("npm", _files("npm:")),
    Source("the CDN jsDelivr", _files("https://cdn.jsdelivr.net/npm/")),
    Source("the CDN unpkg", _files("https://unpkg.com/")),
)
BY_HAND = (
    "On a machine with npm, for each of " + ", ".join(SETS) + ":",
    "`npm pack @iconify-json/SET@VERSION`, and take package/icons.json out of the archive;",
    "put it at {root}/SET.json. Then run this command again; it checks and draws them.",
)


def listing(root: Path) -> Listing:
    """The images below `root`/images, class after class; each is named after its set."""
    return drawn.listing(NAME, root, COUNTS, PIXELS)


def build(files: Sequence[Path], into: Path, say: Say) -> None:
    """Draw the classes of the sets, whose icons.json are `files`, into `into`/images."""
    import resvg_py

    sets = {path.stem: json.loads(path.read_bytes()) for path in files}
    drawings = [
        (f"{class_name}/{name}.png", svg(sets[name], icon))
        for class_name, icons in _classes(sets).items()
        for name, icon in icons.items()
    ]
    reported = time.monotonic()
    for i, (path, text) in enumerate(drawings):
        target = into / drawn.IMAGES / path
        target.parent.mkdir(parents=True, exist_ok=True)
        png = resvg_py.svg_to_bytes(svg_string=text, background="white", skip_system_fonts=True)
        target.write_bytes(png)
        if time.monotonic() - reported > PROGRESS_SECONDS:
            reported = time.monotonic()
            say(f"{NAME}: {i + 1:,} of {len(drawings):,} images drawn")
    drawn.write_digest(into)


def _classes(sets: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """class name -> {set: the icon's name in it}; sets spell the same name differently."""
    icons_of: dict[str, dict[str, str]] = {}
    for name, icon_set in sets.items():
        for icon in icon_set["icons"]:
            if not VARIANTS.search(icon):
                icons_of.setdefault(_letters(icon), {})[name] = icon
    return {
        icons[NAMES_OF]: icons
        for icons in icons_of.values()
        if len(icons) >= FEWEST_DESIGNS and NAMES_OF in icons
    }


def _letters(icon: str) -> str:
    """An icon's name without hyphens and capitals."""
    return re.sub(r"[^a-z0-9]", "", icon.lower())


def svg(icon_set: Mapping[str, Any], name: str) -> str:
    """The SVG of an icon of SIDE pixels, centred where it is not square.

    Iconify's format: an icon has a body, and a box where it is not the set's or the default one.
    """
    icon = icon_set["icons"][name]
    default = {"left": 0, "top": 0, "width": 16, "height": 16}
    box = [icon.get(key, icon_set.get(key, number)) for key, number in default.items()]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{" ".join(map(str, box))}" width="{SIDE}" height="{SIDE}">{icon["body"]}</svg>'
    )
