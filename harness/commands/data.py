"""`data`: list the datasets; fetch, verify or cache one; write a file for one's own."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from harness.commands import options as shared
from harness.commands import own_datasets, unused

HELP = "list the datasets; fetch, verify or cache one; write a file for your own"
DRAWN, DRAWN_PIXELS = "glyphs", 32  # drawn from shipped fonts, in one size
READ = ("fetch", "verify", "cache")
TAKEN_BY = {  # option -> the actions that it goes with
    "--resize": ("cache",),
    "--json": ("list",),
    "--skip-bad": READ,
    "--shuffle-classes": READ,
    "--image-column": READ,
    "--label-column": READ,
    "--data": ("list", *READ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("action", choices=("list", "fetch", "verify", "cache", "new"))
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a dataset, or your own: folder:PATH, ...; new: of a file for a dataset of your own",
    )
    parser.add_argument(
        "--resize",
        type=shared.count,
        default=256,
        metavar="PIXELS",
        help="shorter side of the images in the cache (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="list: a JSON list of objects")
    shared.add_reading(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Do the action; exit 1 if a dataset could not be fetched."""
    from harness.data import check, datasets, fetch
    from harness.schema import Problem

    root, name = options.data.resolve(), options.name
    of_others = {
        flag: "goes with " + " or ".join(f"`data {taker}`" for taker in takers)
        for flag, takers in TAKEN_BY.items()
        if options.action not in takers
    }
    unused.refuse(options, add_options, of_others)
    if options.action == "list":
        if name is not None:
            raise Problem(f"`data list` lists all datasets; leave {name} out, or `data verify` it")
        _list(root, as_json=options.json)
        return
    if name is None:
        raise Problem(f"data {options.action} needs the NAME of a dataset; `data list` lists them")
    if options.action == "new":
        own_datasets.new(name)
        return
    reading = shared.reading(name, options)
    name = reading.name
    if name == DRAWN:
        unused.refuse(options, add_options, {"--resize": f"has no use for {DRAWN}, of one size"})
    if options.action == "cache":
        _cache(str(reading), root, DRAWN_PIXELS if name == DRAWN else options.resize)
    elif name == DRAWN or (options.action == "verify" and reading.kind == "features"):
        _load(str(reading), root)
    elif options.action == "verify":
        listing, path = datasets.listed(reading, root)
        whole, lines = check.checked(listing, path, print, skip_bad=reading.skip_bad)
        print("\n".join(lines))
        for line in check.check_cache(whole, path, root / "cache", print):
            print(line)
    elif reading.place is not None:
        raise Problem(f"{reading.name} is your own: there is nothing to fetch")
    elif reading.kind is not None:  # on the hub, from where reading fetches it
        listing, _ = datasets.listed(reading, root)
        print(f"{listing.name}: {len(listing):,} images, {len(listing.class_names):,} classes")
    elif not fetch.fetch(name, datasets.module(name), root / name, say=print):
        sys.exit(1)


def _list(root: Path, *, as_json: bool) -> None:
    """Print a line for each dataset: its size, where it comes from, whether it is here."""
    from harness.data import check, datasets

    rows = check.describe(root, datasets.modules(shared.warn))
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    for row in rows:
        size = f"{row.images:,} images, {row.classes:,} classes; " if row.images else ""
        state = f"; here: {row.here}" if row.here else ""
        advice = f" (`data verify {row.name}` says why)" if row.here == "not whole" else ""
        print(f"{row.name}: {size}{row.where}{state}{advice}")


def _cache(name: str, root: Path, resize: int) -> None:
    """Build the cache of decoded images, unless it is there."""
    from harness.data import datasets

    dataset = datasets.load(name, root, resize, print)
    size = f"{len(dataset.images):,} images cached"
    print(f"{dataset.name}: {size}, fingerprint {dataset.fingerprint}")


def _load(name: str, root: Path) -> None:
    """Load a dataset that is no image files, which is all there is to verify (and to fetch)."""
    from harness.data import datasets

    dataset = datasets.load(name, root, DRAWN_PIXELS, print)
    size = f"{len(dataset.images):,} images"
    print(f"{dataset.name}: {size}, fingerprint {dataset.fingerprint}: whole")
