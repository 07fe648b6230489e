"""`trunks`: the trunks that have files here, and a file for one of one's own."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from harness.commands import listing, new_files, unused

HELP = "list the trunks; write a file for your own"
EPILOG = """\
Beside them, --trunk takes timm:NAME (python -m pip install timm) and torchvision:NAME."""
FOLDER = "harness/training/trunks"
TEXT = '''"""{title}: one line on what the network is; no published weights.

python -m harness study --study smoke --trunk {name} --weights none
"""

from __future__ import annotations

from torch import nn

from harness.training.trunks import Trunk

FEATURES = 128  # channels of the feature map


def _network(channels: int) -> nn.Module:
    """Images [B, channels, H, W], normalised, to a feature map [B, FEATURES, h, w].

    The study pools the map and puts the head on it, so leave pooling and classifier out.
    """
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.Conv2d(64, FEATURES, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(FEATURES),
        nn.ReLU(inplace=True),
    )


# mean and std are in grey levels, 0 to 255: one for all channels, or one for each. grey: images of
# one channel are fed as they are; without it the network always sees three channels.
TRUNK = Trunk(_network, features=FEATURES, mean=(127.5,), std=(73.9,), grey=True)
'''


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("action", nargs="?", choices=("list", "new"), default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="new: the name of your trunk")
    parser.add_argument("--json", action="store_true", help="a JSON list of objects")


def run(options: argparse.Namespace) -> None:
    """List the trunks, or write a file for a new one."""
    from harness.schema import Problem

    if options.action == "new":
        unused.refuse(options, add_options, {"--json": "lists trunks, and `new` writes one"})
        new(new_files.needed("trunks new", options.name))
        return
    if options.name is not None:
        raise Problem(f"`trunks list` lists all trunks; leave {options.name} out")
    rows, faults = [], []
    for name in _names():
        try:
            rows.append(row(name))
        except Problem as problem:
            faults.append(str(problem))
    if faults:
        print(f"harness: {'; '.join(faults)}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows))
        return
    listing.show(
        ["trunk", "what it is", "features", "weights"],
        [[one["name"], one["about"], one["features"], one["weights"]] for one in rows],
        "timm:NAME and torchvision:NAME are trunks too. weights: what --weights can be.",
    )


def new(name: str) -> None:
    """Write harness/training/trunks/NAME.py, which works; Problem if the name is taken or none."""
    new_files.check_name("trunk", name, ("timm", "torchvision"))
    commands = [f"study --study smoke --trunk {name} --weights none"]
    new_files.write("trunk", name, FOLDER, text_of(name), commands)


def text_of(name: str) -> str:
    """The file that a trunk of one's own starts as."""
    return TEXT.format(name=name, title=name.replace("_", " ").capitalize())


def row(name: str) -> dict[str, Any]:
    """What a trunk's file says, under the keys of --json."""
    from harness.training import trunks

    module = trunks.module_of(name)
    trunk = module.TRUNK
    weights = "none" if trunk.checkpoint is None else "imagenet, none"
    about = listing.about(module.__doc__)
    return {"name": name, "features": trunk.features, "weights": weights, "about": about}


def _names() -> list[str]:
    from harness.training import trunks

    return trunks.names()
