"""`losses`: the losses there are, as rows and as pages, read from their own files."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

HELP = "the losses there are, or everything about one"
STATUS = {
    "authors": "equal to the authors' released code",
    "library": "as the field's common library defines it (no authors' code)",
    "paper": "from the paper's definition (no code released, or not established)",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a loss (default: list them all)")
    parser.add_argument("--json", action="store_true", help="a JSON list")


def run(options: argparse.Namespace) -> None:
    """List the losses, or print everything about one."""
    names = shared.names_in("losses")
    if options.name is not None:
        names = [shared.known("loss", options.name, names)]
    if options.json:
        print(json.dumps([row(name) for name in names]))
    elif options.name is not None:
        print("\n".join(page(options.name)))
    else:
        print("\n".join(table(names)))


def row(name: str) -> dict[str, Any]:
    """What a loss file says of itself, for a listing or a machine."""
    loss = importlib.import_module(f"losses.{name}")
    return {
        "name": name,
        "year": loss.YEAR,
        "kind": loss.KIND,
        "embedding": loss.EMBEDDING,
        "retrieval": loss.RETRIEVAL,
        "own_parameters": loss.OWN_PARAMETERS,
        "searched": list(loss.SPACE),
        "images_per_class": loss.PER_CLASS,
        "cost": loss.COST,
        "status": loss.STATUS,
        "paper": loss.PAPER,
    }


def table(names: Sequence[str]) -> list[str]:
    """Lines of markdown: name, year, kind, embedding space, parameters, cost, status, paper."""
    head = [
        "loss",
        "year",
        "kind",
        "embeddings",
        "own parameters",
        "searched",
        "cost",
        "as",
        "paper",
    ]
    body = []
    for told in map(row, names):
        own = "yes" if told["own_parameters"] else "no"
        searched = ", ".join(told["searched"]) or "nothing"
        body.append(
            [
                *(told["name"], str(told["year"]), told["kind"], told["embedding"], own, searched),
                *(told["cost"], told["status"], told["paper"]),
            ]
        )
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head) - 1)]
    lines = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=True))
        + f" | {line[-1]} |"
        for line in [head, *body]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|-|")
    as_said = "; ".join(f"{status}: {said}" for status, said in STATUS.items())
    return [*lines, "", f"{len(body)} losses. as: {as_said}."]


def page(name: str) -> list[str]:
    """Everything a loss file says: formula and source, what is searched, over which range, why."""
    loss = importlib.import_module(f"losses.{name}")
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(loss.Loss.__init__).parameters.items()
        if key not in ("self", "n_classes", "dim")
    }
    lines = [name, "", inspect.cleandoc(loss.__doc__ or ""), ""]
    lines += [f"paper: {loss.PAPER}", f"implemented: {STATUS[loss.STATUS]}"]
    lines += [
        f"kind: {loss.KIND}; embeddings: {loss.EMBEDDING}, compared by {loss.RETRIEVAL}; at least "
        f"{loss.PER_CLASS} images of a class in a batch; own parameters: "
        f"{'yes' if loss.OWN_PARAMETERS else 'no'}; cost: {loss.COST}"
    ]
    lines += ["", "searched (beside the learning rates, which the study searches for every loss):"]
    lines += _ranges(loss, loss.SPACE, defaults) or ["  nothing"]
    lines += ["in the follow-up phase:"]
    lines += _ranges(loss, loss.FOLLOWUP, {}) or ["  nothing"]
    if loss.FIXED:
        lines.append("not searched:")
        lines += [f"  {key} = {defaults[key]}: {why}" for key, why in loss.FIXED.items()]
    for key, norm in loss.SCALED.items():
        lines.append(
            f"{key}: its range is for embeddings of norm {norm:g} and follows the network's"
        )
    return lines


def _ranges(
    loss: ModuleType, space: dict[str, BaseDistribution], defaults: dict[str, Any]
) -> list[str]:
    from optuna.distributions import CategoricalDistribution

    lines = []
    for key, spread in space.items():
        if isinstance(spread, CategoricalDistribution):
            told = f"one of {', '.join(map(str, spread.choices))}"
        else:
            fields = vars(spread)
            log = ", log scale" if fields["log"] else ""
            told = f"{fields['low']:g} to {fields['high']:g}{log}"
        default = f" (default {defaults[key]:g})" if key in defaults else ""
        lines.append(f"  {key}: {told}{default}; {loss.SOURCES[key]}")
    return lines
