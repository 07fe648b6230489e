"""`data`: list, fetch, verify or cache datasets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.commands import options as shared

HELP = "list, fetch, verify or cache datasets"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("action", choices=("list", "fetch", "verify", "cache"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="a dataset, or folder:PATH")
    parser.add_argument(
        "--resize", type=shared.count, default=256, metavar="PX", help="shorter side in the cache"
    )
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Do what the action says; exit 1 if a dataset could not be fetched."""
    from harness.data import check, datasets, fetch
    from harness.schema import Problem

    root = options.data.resolve()
    if options.action == "list":
        for row in check.describe(root, datasets.modules()):
            size = f"{row.images:,} images, {row.classes:,} classes; " if row.images else ""
            state = f"; here: {row.here}" if row.here else ""
            print(f"{row.name}: {size}{row.where}{state}")
        return
    if options.name is None:
        raise Problem(f"data {options.action} needs the NAME of a dataset; `data list` lists them")
    name, is_folder = options.name, options.name.startswith("folder:")
    if not is_folder:
        shared.known("dataset", name, datasets.names())
    path = Path(name.removeprefix("folder:")).resolve() if is_folder else root / name
    if options.action == "cache":
        cached = datasets.load(name, root, 32 if name == "glyphs" else options.resize, print)
        size = f"{len(cached.images):,} images cached"
        print(f"{cached.name}: {size}, fingerprint {cached.fingerprint}")
    elif name == "glyphs":
        glyphs = datasets.load(name, root, 32, print)
        print(f"glyphs: {len(glyphs.images):,} images, fingerprint {glyphs.fingerprint}: whole")
    elif options.action == "verify":
        module = datasets.module("folder" if is_folder else name)
        print("\n".join(check.check(module, path, print)))
    elif is_folder:
        raise Problem("folder:PATH is your own: there is nothing to fetch")
    elif not fetch.fetch(name, datasets.module(name), path, print):
        sys.exit(1)
