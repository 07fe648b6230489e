"""A loss of one's own: `losses new`, `losses check`, `losses compare`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from harness import files
from harness.commands import new_files
from harness.commands import options as shared

ACTIONS = ("new", "check", "compare")
QUICK = "demo"  # the study in which `compare` compares
Accepted = Callable[[Callable[[str], None]], None]  # called with what shows a line

HEAD = '''"""{title}: one line on what it pulls together and what it pushes apart.

With s_ij = x_i . x_j over unit-length embeddings, the loss is the mean over the batch of

    {formula}

Replace formula, docstring and ranges by your own. What is missing then, in seconds:

    python -m harness losses check {name}

The harness hands over embeddings [B, D] in float32 and labels [B]. Embeddings that are not finite
end the run before the loss's value counts.
"""

from __future__ import annotations

import torch
{imports}from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from losses import _followup
{shared}
PAPER = "{title} {year}, unpublished"
YEAR = {year}
KIND = "{kind}"
EMBEDDING = "unit"  # "unbounded": forward receives the head's raw output
RETRIEVAL = "cosine"  # how embeddings are compared in the test: or "euclidean"
MIN_IMAGES_PER_CLASS = {images}  # in a batch; 2 if the loss needs positives
OWN_PARAMETERS = {own}  # whether the loss has trainable parameters, such as proxies
SPACE = {{"{parameter}": FloatDistribution({low}, {high}{log})}}  # what the search tunes
FIXED: dict[str, str] = {{}}  # constructor parameter that is not searched -> why
FOLLOWUP = _followup.ratios({followup}=("{parameter}",))  # what the second phase may change
REFERENCE_NORM: dict[str, float] = {{}}
SOURCES = {{"{parameter}": "a guess, to begin with"}} | _followup.sources(FOLLOWUP)
COST = "{cost}"
STATUS = "own"


class Loss(nn.Module):
    """{title}; the default of `{parameter}` is what one would use untuned."""

'''
PAIR = """    def __init__(self, *, n_classes: int, dim: int, margin: float = 0.2) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        similarity = embeddings @ embeddings.T
        positives, negatives = positives_and_negatives(labels)
        hardest_positive = similarity.masked_fill(~positives, torch.inf).amin(1)
        hardest_negative = similarity.masked_fill(~negatives, -torch.inf).amax(1)
        return (hardest_negative - hardest_positive + self.margin).clamp_min(0.0).mean()
"""
PROXY = """    def __init__(self, *, n_classes: int, dim: int, scale: float = 16.0) -> None:
        super().__init__()
        self.scale = scale
        self.proxies = nn.Parameter(torch.randn(n_classes, dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        similarity = embeddings @ F.normalize(self.proxies).T
        return F.cross_entropy(self.scale * similarity, labels)
"""
# kind -> what fills the head, and the body
KINDS = {
    "pair": (
        {
            "formula": "[max_n s_in - min_p s_ip + margin]_+   (p: its class, n: another class)",
            "imports": "",
            "shared": "from losses._shared import positives_and_negatives\n",
            "images": 2,
            "own": False,
            "parameter": "margin",
            "low": 0.0,
            "high": 1.0,
            "log": "",
            "followup": "shares",
            "cost": "O(B^2 D)",
        },
        PAIR,
    ),
    "proxy": (
        {
            "formula": "-log softmax_y( scale x . p_j )   (p_j: the proxy of class j)",
            "imports": "import torch.nn.functional as F\n",
            "shared": "",
            "images": 1,
            "own": True,
            "parameter": "scale",
            "low": 1.0,
            "high": 100.0,
            "log": ", log=True",
            "followup": "factors",
            "cost": "O(B C D)",
        },
        PROXY,
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the three actions."""
    parser.add_argument(
        "--kind", choices=tuple(KINDS), default="pair", help="new: what it starts as (%(default)s)"
    )
    parser.add_argument(
        "--with",
        nargs="+",
        metavar="LOSS",
        default=["proxy_anchor"],
        help="compare: the losses beside it (proxy_anchor)",
    )
    parser.add_argument(
        "--dataset",
        nargs="+",
        default=["glyphs"],
        metavar="NAME",
        help="compare: on which datasets (glyphs)",
    )


def run(action: str, name: str | None, options: argparse.Namespace) -> None:
    """Do one of ACTIONS with the loss of that name; Problem without one."""
    from harness.schema import Problem

    if name is None:
        raise Problem(f"losses {action} needs the NAME of your loss: losses {action} my_loss")
    if action == "new":
        new(name, options.kind)
    elif action == "check":
        check(name)
    else:
        compare(name, vars(options)["with"], options.dataset)


def new(name: str, kind: str) -> None:
    """Write losses/NAME.py, a loss that works; Problem if the name is taken or is none."""
    check_name(name)
    commands = [f"losses check {name}", f"losses compare {name} --with proxy_anchor"]
    new_files.write("loss", name, "losses", text_of(name, kind), commands)


def text_of(name: str, kind: str) -> str:
    """The file that a loss of one's own starts as."""
    words, body = KINDS[kind]
    title, year = name.replace("_", " ").capitalize(), time.localtime().tm_year
    return HEAD.format(name=name, title=title, year=year, kind=kind, **words) + body


def names_of(given: Sequence[str]) -> list[str]:
    """Names of losses; a path to a .py file, which `linked` links, is named as the file."""
    return [Path(each).stem if each.endswith(".py") else each for each in given]


@contextlib.contextmanager
def linked(given: Sequence[str]) -> Iterator[Accepted]:
    """Link the .py files among names of losses into losses/ while a command looks at its options.

    A link, so that workers, later commands and records find under one name what the author goes on
    editing. It stays once the command is accepted: once what is yielded was called. Otherwise
    losses/ is as it was before. Problem if there is no such file, or another one has the name.
    """
    made: list[tuple[Path, Path | None]] = []

    def accepted(show: Callable[[str], None]) -> None:
        while made:
            link, _ = made.pop(0)
            show(f"losses/{link.name} is now a link to {link.readlink()}")

    try:
        for each in given:
            if each.endswith(".py"):
                _link(Path(each), made)
        yield accepted
    finally:
        for link, before in made:
            link.unlink(missing_ok=True)
            if before is not None:
                link.symlink_to(before)


def _link(path: Path, made: list[tuple[Path, Path | None]]) -> None:
    """Link a file, and add to `made` the new link and where one of its name led before."""
    from harness.schema import Problem

    target, link = path.expanduser().resolve(), files.CHECKOUT / "losses" / path.name
    if not target.is_file():
        raise Problem(f"there is no loss file {path}; `losses new NAME` writes one into losses/")
    if link.resolve() == target:
        return
    check_name(path.stem)
    if link.exists():
        raise Problem(f"losses/{path.name} is another loss; give {path} another name")
    before = link.readlink() if link.is_symlink() else None  # whose target is gone
    link.unlink(missing_ok=True)
    made.append((link, before))
    link.symlink_to(target)


def check_name(name: str) -> None:
    """Problem for what cannot be the name of a loss file."""
    from harness.schema import BASELINES

    new_files.check_name("loss", name, (*ACTIONS, *BASELINES, "all"))


def check(name: str) -> None:
    """Say what a loss file breaks of the contract of losses/; exit 1 if anything."""
    from harness.training.loss_check import shortfalls
    from harness.training.loss_files import module_of

    with linked([name]) as accepted:
        [name] = names_of([name])
        module = module_of(shared.known("loss", name, shared.names_in("losses")))
        accepted(partial(print, file=sys.stderr))
    lines = shortfalls(module)
    for line in lines:
        print(f"losses/{name}.py: {line}")
    if lines:
        sys.exit(1)
    print(f"losses/{name}.py keeps the contract of losses/__init__.py, and learns on toy data.")


def compare(name: str, rivals: Sequence[str], datasets: Sequence[str]) -> None:
    """The shortest honest study of a loss beside others: a whole one, at demo size."""
    from harness.commands import study

    words = list(dict.fromkeys((name, *rivals)))
    known = shared.names_in("losses")
    for each in words:
        if not each.endswith(".py"):  # which the study links
            shared.known("loss", each, known)
    parser = argparse.ArgumentParser(prog="harness study")
    study.add_options(parser)
    asked = ["--study", QUICK, "--dataset", *datasets, "--loss", *words]
    print(f"python -m harness study {' '.join(asked)}", file=sys.stderr)
    study.run(parser.parse_args(asked))
