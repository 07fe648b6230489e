"""glyphs: 200 characters as classes, 48 grey 32-pixel images each, rendered from shipped fonts.

Nothing is downloaded: the characters come from the 16 text faces (DejaVu Sans, Sans Mono and Serif,
STIX General; four styles each) that matplotlib ships. Every face renders every character three
times, each time with another rotation, shear, scale, shift, contrast and noise. Characters whose
outlines are equal in any face (Latin A, Greek Alpha, Cyrillic A) appear once; accented letters are
left out. The order of the classes is a seeded shuffle, so that the halves and the folds are alike:
the first 100 classes are trainval, the last 100 test.

The images depend on nothing but the fonts and the versions of the libraries that draw them. The
fingerprint is that of the pixels.
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.data import Say
from harness.data.listing import Counts
from harness.files import replacing
from harness.schema import Dataset, Problem
from harness.seeds import seed_from

WHERE = "embedded: characters rendered from shipped fonts, nothing to download"
CLASSES = 200
COUNTS = Counts(images=9600, classes=CLASSES)
RENDERINGS = 3  # of a character by a face
SIDE = 32
DRAWN = 2 * SIDE  # rendered at twice the size, then averaged down
EM = 54  # font size in pixels of the drawn image
RULES = 4  # raise when anything below changes the pixels

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Glyphs:
    """The rendered images [n, SIDE, SIDE, 1] by class, and the character of each class."""

    images: Pixels
    characters: list[str]

    @property
    def fingerprint(self) -> str:
        """16 hex digits over pixels and characters."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update("".join(self.characters).encode())
        return digest.hexdigest()[:16]


def load(cache_dir: Path, *, resize: int, say: Say) -> Dataset:
    """The dataset, rendered on first use and kept in the cache folder; `resize` must be 32."""
    if resize != SIDE:
        raise Problem(
            f"glyphs are images of {SIDE} px and are not resized: the study asks for {resize}; "
            f'set per_dataset={{"glyphs": {{"resize": {SIDE}, "crop": {SIDE}, ...}}}} in it'
        )
    path = cache_dir / f"glyphs-{_versions()}.npz"
    glyphs = _read(path)
    if glyphs is None:
        say(f"glyphs: rendering {CLASSES} characters into {path}")
        glyphs = render()
        _write(path, glyphs)
    labels = np.repeat(np.arange(CLASSES), len(glyphs.images) // CLASSES)
    return Dataset(
        name="glyphs",
        images=glyphs.images,
        labels=labels,
        is_test=labels >= CLASSES // 2,
        class_names=glyphs.characters,
        fingerprint=glyphs.fingerprint,
    )


def _versions() -> str:
    """12 hex digits over everything that the pixels depend on."""
    # by their metadata: importing matplotlib takes a quarter of a second
    drawing = f"{metadata.version('matplotlib')}/{metadata.version('pillow')}"
    text = f"{RULES}/{drawing}/{np.__version__}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(path: Path) -> Glyphs | None:
    """What the cache holds, or None where it is missing or damaged."""
    try:
        with np.load(path) as arrays:
            glyphs = Glyphs(arrays["images"], list(map(str, arrays["names"])))
            return glyphs if glyphs.fingerprint == str(arrays["fingerprint"]) else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, glyphs: Glyphs) -> None:
    """Put the cache in place whole or not at all."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        images=glyphs.images,
        names=np.array(glyphs.characters),
        fingerprint=np.array(glyphs.fingerprint),
    )
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def render() -> Glyphs:
    """Draw every character by every face, RENDERINGS times each."""
    from PIL import ImageFont

    faces = _faces()
    characters = _characters(faces)
    fonts = [ImageFont.truetype(face, EM, layout_engine=ImageFont.Layout.BASIC) for face in faces]
    images = np.empty((CLASSES, len(faces) * RENDERINGS, SIDE, SIDE, 1), dtype=np.uint8)
    for c, character in enumerate(characters):
        for f, (face, font) in enumerate(zip(faces, fonts, strict=True)):
            drawn = _draw(character, font)
            for k in range(RENDERINGS):
                rng = np.random.default_rng(seed_from("glyphs", character, face.stem, k))
                images[c, f * RENDERINGS + k, :, :, 0] = _distort(drawn, rng)
    return Glyphs(images.reshape(-1, SIDE, SIDE, 1), characters)


def _faces() -> list[Path]:
    """The font files of the 16 faces, in a fixed order."""
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    families = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif")
    styles = ("", "-Bold", "-Oblique", "-Italic", "-BoldOblique", "-BoldItalic")
    names = [f"{family}{style}" for family in families for style in styles]
    names += [f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")]
    faces = [fonts / f"{name}.ttf" for name in names if (fonts / f"{name}.ttf").exists()]
    if len(faces) != 16:
        raise Problem(
            f"glyphs: {len(faces)} of the 16 text faces of matplotlib are in {fonts}; "
            "reinstall matplotlib as the requirements file pins it"
        )
    return faces


def _characters(faces: list[Path]) -> list[str]:
    """CLASSES characters that every face draws, no two with the same outline, shuffled."""
    from fontTools.ttLib import TTFont

    fonts = [TTFont(face, lazy=True) for face in faces]
    maps = [font.getBestCmap() for font in fonts]
    common = sorted(set.intersection(*(set(characters) for characters in maps)))
    plain = [
        code
        for code in common
        if chr(code).isalnum() and unicodedata.normalize("NFKD", chr(code)) == chr(code)
    ]
    plain.sort(key=lambda code: (unicodedata.category(chr(code)) == "Lm", code))
    used_outlines: set[tuple[int, str]] = set()
    distinct = []
    for code in plain:
        outlines = {
            (f, _outline(font, names[code]))
            for f, (font, names) in enumerate(zip(fonts, maps, strict=True))
        }
        if not outlines & used_outlines:
            distinct.append(chr(code))
        used_outlines |= outlines
    if len(distinct) < CLASSES:
        raise Problem(f"glyphs: the fonts hold {len(distinct)} distinct characters of {CLASSES}")
    return sorted(distinct, key=lambda character: seed_from("glyphs", "order", character))[:CLASSES]


def _outline(font: object, name: str) -> str:
    """The strokes of a glyph, shifted to the origin: equal strings are equal outlines."""
    from fontTools.pens.basePen import DecomposingPen
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    glyphs = font.getGlyphSet()  # type: ignore[attr-defined]
    pen: DecomposingPen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    strokes = [(verb, [p for p in points if p is not None]) for verb, points in pen.value]
    points = np.array([p for _, stroke in strokes for p in stroke], dtype=np.float64)
    least = points.min(0) if len(points) else np.zeros(2)
    return repr(
        [(verb, [tuple(np.subtract(p, least)) for p in stroke]) for verb, stroke in strokes]
    )


def _draw(character: str, font: object) -> object:
    """The character, white on black, centred on a square canvas of 2 * DRAWN pixels."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (2 * DRAWN, 2 * DRAWN), 0)
    draw = ImageDraw.Draw(canvas)
    left, top, right, bottom = draw.textbbox((0, 0), character, font=font)  # type: ignore[arg-type]
    at = (DRAWN - (left + right) / 2, DRAWN - (top + bottom) / 2)
    draw.text(at, character, fill=255, font=font)  # type: ignore[arg-type]
    return canvas


def _distort(canvas: object, rng: np.random.Generator) -> Pixels:
    """Grey levels [SIDE, SIDE] after a random rotation, shear, scale, shift, contrast and noise."""
    from PIL import Image

    angle = np.deg2rad(rng.uniform(-20, 20))
    shear = rng.uniform(-0.25, 0.25)
    across, along = rng.uniform(0.8, 1.15, 2)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = rotation @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([across, along])
    shift = rng.uniform(-5, 5, 2)
    inverse = np.linalg.inv(forward)
    # PIL maps output pixels to input pixels: inverse (output - centre - shift) + middle.
    offset = np.array([DRAWN, DRAWN]) - inverse @ (np.array([DRAWN / 2, DRAWN / 2]) + shift)
    matrix = (*inverse[0], offset[0], *inverse[1], offset[1])
    turned = canvas.transform(  # type: ignore[attr-defined]
        (DRAWN, DRAWN), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR
    )
    ink = np.asarray(turned, dtype=np.float64) / 255
    ink = ink.reshape(SIDE, 2, SIDE, 2).mean((1, 3))
    paper = rng.uniform(0.0, 0.35)
    contrast = rng.uniform(0.35, 0.65)
    grey = paper + contrast * ink + rng.normal(0, rng.uniform(0.03, 0.12), ink.shape)
    return np.asarray(np.clip(np.rint(255 * grey), 0, 255), dtype=np.uint8)
