"""Studies that are computed whole each time and leave no records, for the command `study`."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from harness.commands import engine_options
from harness.commands import options as shared
from harness.commands.table import print_page

if TYPE_CHECKING:
    from harness.schema import Demonstration
    from harness.tables.page import Page

T = TypeVar("T")
# Options of `study` that say which runs there are, or how they train.
OF_RUNS = (
    *("loss", "dataset", "trials", "repeats", "search_repeats", "diagnostics", "trunk", "weights"),
    *("fresh", "log", "retry_failed", "resume_from", "devices", "slots_per_gpu", "slurm"),
    *("ray_address", "gpus_per_run", "workers"),
)


def run(study: Demonstration, options: argparse.Namespace) -> None:
    """Compute the study, print its page, and draw its figure if --figure is given."""
    if options.figure is not None:
        shared.check_figure_path(options.figure)
    page = PAGES[shared.known("demonstration", study.name, list(PAGES))](study, options)
    print_page(page, "markdown", as_json=options.json)
    if options.figure is not None:
        page.draw(options.figure)


def _landscapes(study: Demonstration, options: argparse.Namespace) -> Page:
    from harness.tables.demonstrations import landscapes, landscapes_figure, landscapes_text
    from harness.tables.page import Page

    _refuse(study, options, OF_RUNS)
    numbers = computed(study, landscapes.compute)
    code = made_by()
    return Page(
        data=lambda: landscapes_text.as_data(numbers, code),
        text=lambda form: landscapes_text.text(numbers, code, form),
        draw=lambda path: landscapes_figure.draw(numbers, path),
    )


def _toy_embedding(study: Demonstration, options: argparse.Namespace) -> Page:
    from harness.data import missing
    from harness.engines import toy_embedding as engine
    from harness.schema import Problem
    from harness.tables.demonstrations import toy_embedding
    from harness.tables.page import Page

    _refuse(study, options, tuple(name for name in OF_RUNS if name not in ("dataset", "repeats")))
    given = options.dataset or ["glyphs"]
    if len(given) > 1:
        raise Problem(f"the study {study.name!r} takes one dataset; give one --dataset")
    dataset = str(shared.reading(given[0], options))
    missing.check([dataset], options.data.resolve())
    places = engine_options.places_here(options)
    changes = {} if options.repeats is None else {"repeats": options.repeats}
    study = replace(study, values={**study.values, **changes})
    loaded, clusters = computed(
        study,
        engine.trainings,
        study=study.training,
        dataset=dataset,
        places=places,
        notify=(lambda _: None) if options.quiet else _to_standard_error,
    )
    toy = toy_embedding.Toy(loaded.name, clusters, study.values["epochs"])
    code = made_by()
    return Page(
        data=lambda: toy_embedding.as_data(toy, code),
        text=lambda form: toy_embedding.text(toy, code, form),
        draw=lambda path: toy_embedding.draw(toy, path),
    )


PAGES: dict[str, Callable[[Demonstration, argparse.Namespace], Page]] = {
    "landscapes": _landscapes,
    "toy_embedding": _toy_embedding,
}


def _refuse(study: Demonstration, options: argparse.Namespace, names: tuple[str, ...]) -> None:
    """Problem where an option was given that the study has no use for."""
    from harness.schema import Problem

    given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name, None)]
    given += ["--engine"] * (options.engine != "local")
    if given:
        raise Problem(
            f"the study {study.name!r} has no use for {', '.join(given)}: leave "
            f"{'it' if len(given) == 1 else 'them'} out"
        )


def computed(demonstration: Demonstration, compute: Callable[..., T], **more: Any) -> T:
    """What `compute` makes of the study's values; Problem where they are not those it takes."""
    from harness.schema import Problem

    signature = inspect.signature(compute)
    try:
        signature.bind(**demonstration.values, **more)
    except TypeError as error:
        known = ", ".join(name for name in signature.parameters if name not in more)
        raise Problem(
            f"studies/{demonstration.name}.py: {error}; its values are {known}; correct the file"
        ) from None
    return compute(**demonstration.values, **more)


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def made_by() -> str:
    """The code that computed a page, in words."""
    from harness.records.provenance import code_version

    code = code_version()
    if code["dirty"] is None:
        return f"Code: {code['commit']}."
    changes = ", with changes that are not committed" if code["dirty"] else ""
    return f"Code: {code['commit'][:10]}{changes}."
