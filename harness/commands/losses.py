"""`losses`: a table of all losses, or a page about one, as their files and a study say."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared
from harness.commands import own_losses, study_files, terminal, unused
from harness.commands.loss_rows import STATUS, dimensions, importable, row

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from harness.schema import Study

HELP = "list the losses, or print everything about one; write, check or compare your own"
HEADINGS = (
    "loss",
    "year",
    "kind",
    "embeddings",
    "own parameters",
    "searched",
    "dimensions",
    "cost",
    "as",
    "in study",
    "paper",
)

TAKEN_BY = {  # option -> the action that it goes with; None: listing, or a page about one
    "--kind": "new",
    "--with": "compare",
    "--dataset": "compare",
    "--json": None,
    "--study": None,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a loss (default: list them all); or new, check, compare, and your own loss's NAME",
    )
    parser.add_argument("own", nargs="?", metavar="NAME", help=argparse.SUPPRESS)
    own_losses.add_options(parser)
    parser.add_argument("--json", action="store_true", help="a JSON list of objects")
    shared.add_one_study(parser, "the study whose searched dimensions are counted")


def run(options: argparse.Namespace) -> None:
    """List the losses, or print everything about one.

    A file that cannot be imported is left out of a list, and a line on standard error names it.
    """
    from harness.schema import Problem

    action = options.name if options.name in own_losses.ACTIONS else None
    of_others = {
        flag: f"goes with `losses {taker or '[NAME]'}`"
        for flag, taker in TAKEN_BY.items()
        if action != taker
    }
    unused.refuse(options, add_options, of_others)
    if action is not None:
        own_losses.run(action, options.own, options)
        return
    if options.own is not None:
        raise Problem(f"two names, {options.name} and {options.own}: `losses NAME` takes one")
    names, study = shared.names_in("losses"), study_files.load_study(options.study)
    faults: list[str] = []
    if options.name is not None:
        names = [shared.known("loss", options.name, names)]
    else:
        names, faults = importable(names)
    if options.json:
        print(json.dumps([row(name, study) for name in names]))
    elif options.name is not None:
        print("\n".join(page(options.name, study)))
    elif terminal.is_terminal():
        from harness.commands import terminal_page

        terminal_page.print_rows(HEADINGS, cells(names, study), meanings(len(names), study))
    else:
        print("\n".join(table(names, study)))
    if faults:
        print(f"harness: {'; '.join(faults)}", file=sys.stderr)


def cells(names: Sequence[str], study: Study) -> list[tuple[str, ...]]:
    """A row for each loss, by HEADINGS."""
    body: list[tuple[str, ...]] = []
    for loss in (row(name, study) for name in names):
        body.append(
            (
                loss["name"],
                str(loss["year"]),
                loss["kind"],
                loss["embedding"],
                "yes" if loss["own_parameters"] else "no",
                ", ".join(loss["searched"]) or "nothing",
                dimensions(loss),
                loss["cost"],
                loss["status"],
                "yes" if loss["in_study"] else "no",
                loss["paper"],
            )
        )
    return body


def table(names: Sequence[str], study: Study) -> list[str]:
    """Lines of markdown: a row for each loss, then what the columns mean."""
    body = cells(names, study)
    widths = [max(map(len, column)) for column in zip(HEADINGS, *body, strict=True)]
    widths[-1] = 0  # the last column is long and ragged
    lines = []
    for texts in [HEADINGS, *body]:
        padded = [cell.ljust(width) for cell, width in zip(texts, widths, strict=True)]
        lines.append(f"| {' | '.join(padded)} |")
    rule = "|".join("-" * (width + 2) for width in widths[:-1])
    lines.insert(1, f"|{rule}|-|")
    return [*lines, "", meanings(len(body), study)]


def meanings(count: int, study: Study) -> str:
    """How many losses a table has, and what its columns mean."""
    statuses = "; ".join(f"{status}: {meaning}" for status, meaning in STATUS.items())
    of_dimensions = (
        f"dimensions: how many values the study {study.name} searches for the loss, learning rates "
        "and follow-up values included (--study NAME: another's)"
    )
    in_study = f"in study: whether {study.name} compares it where no --loss is given"
    return f"{count} losses. {of_dimensions}. as: {statuses}. {in_study}."


def page(name: str, study: Study) -> list[str]:
    """Lines of text: formula, source, which parameters are searched, over which ranges and why."""
    from harness.training.loss_files import declared

    loss = declared(name)
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(loss.Loss.__init__).parameters.items()
        if key not in ("self", "n_classes", "dim")
    }
    lines = [name, "", inspect.cleandoc(loss.__doc__ or ""), ""]
    lines += [f"paper: {loss.PAPER}", f"implemented: {STATUS[loss.STATUS]}"]
    lines += [
        f"kind: {loss.KIND}; embeddings: {loss.EMBEDDING}, compared by {loss.RETRIEVAL}; at least "
        f"{loss.MIN_IMAGES_PER_CLASS} images of a class in a batch; own parameters: "
        f"{'yes' if loss.OWN_PARAMETERS else 'no'}; cost: {loss.COST}"
    ]
    lines += ["", "searched (beside the learning rates, which the study searches for every loss):"]
    lines += _ranges(loss, loss.SPACE, defaults) or ["  nothing"]
    lines += ["in the follow-up phase:"]
    lines += _ranges(loss, loss.FOLLOWUP, {}) or ["  nothing"]
    lines += _in_study(row(name, study))
    if loss.FIXED:
        lines.append("not searched:")
        lines += [f"  {key} = {defaults[key]}: {why}" for key, why in loss.FIXED.items()]
    for key, norm in loss.REFERENCE_NORM.items():
        lines.append(
            f"{key}: its range is for embeddings of norm {norm:g} and follows the network's"
        )
    return lines


def _in_study(loss: Mapping[str, Any]) -> list[str]:
    """Lines about what the study makes of a row's loss."""
    names = ", ".join(loss["searched_in_study"]) or "nothing"
    lines = [f"searched in the study {loss['study']}: {dimensions(loss)} dimensions: {names}"]
    if loss["fixed_in_study"]:
        fixed = ", ".join(f"{key} = {value}" for key, value in loss["fixed_in_study"].items())
        lines.append(f"fixed there: {fixed}")
    if loss["ranges_in_study"]:
        ranges = ", ".join(
            f"{key} {low:g} to {high:g}" for key, (low, high) in loss["ranges_in_study"].items()
        )
        lines.append(f"with other ranges there: {ranges}")
    return lines


def _ranges(
    loss: ModuleType, space: Mapping[str, BaseDistribution], defaults: Mapping[str, Any]
) -> list[str]:
    """A line for each parameter of a search space: its range, its default, the range's source."""
    from optuna.distributions import CategoricalDistribution

    lines = []
    for key, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            values = f"one of {', '.join(map(str, distribution.choices))}"
        else:
            fields = vars(distribution)
            scale = ", log scale" if fields["log"] else ""
            values = f"{fields['low']:g} to {fields['high']:g}{scale}"
        default = f" (default {defaults[key]:g})" if key in defaults else ""
        lines.append(f"  {key}: {values}{default}; {loss.SOURCES[key]}")
    return lines
