"""The file in losses/ behind a loss's name in a study, which may be that of a variant."""

from __future__ import annotations

import importlib
from pathlib import PurePath
from types import ModuleType

from harness.files import CHECKOUT
from harness.schema import Problem, Study
from harness.training import loss_declarations


def loss_file(study: Study, loss: str) -> ModuleType:
    """The module of losses/ whose `Loss` a loss or variant of the study trains with.

    ModuleNotFoundError where there is no such file.
    """
    return module_of(study.base_of(loss))


def module_of(name: str) -> ModuleType:
    """The module of losses/NAME.py; Problem where it cannot be imported.

    ModuleNotFoundError where there is no such file. Names also come from records, so nothing but a
    file of that folder is ever imported.
    """
    path = f"losses/{name}.py"
    is_plain = PurePath(name).name == name and not name.startswith("_")
    if is_plain and (CHECKOUT / path).is_symlink() and not (CHECKOUT / path).is_file():
        raise Problem(
            f"{path} is a link to {(CHECKOUT / path).readlink()}, which is gone; remove the link, "
            "or give the file where it lies now: --loss FILE"
        )
    if not is_plain or not (CHECKOUT / path).is_file():
        raise ModuleNotFoundError(f"there is no {path}", name=f"losses.{name}")
    if not name.isidentifier():
        raise Problem(
            f"{path} cannot be imported, for {name!r} is no name in Python; rename the file: "
            "letters, digits and _ alone, no digit first"
        )
    try:
        return importlib.import_module(f"losses.{name}")
    except (Exception, SystemExit) as error:  # it is a program, which may raise anything
        raise Problem(
            f"{path} cannot be imported ({type(error).__name__}: {error}); mend it, or take it out "
            "of the folder"
        ) from None


def declared(name: str) -> ModuleType:
    """As `module_of`; Problem also where a constant that every loss has is missing or wrong.

    Or where what it would have searched is no range.
    """
    module = module_of(name)
    parts = (loss_declarations.constants, loss_declarations.distributions)
    missing = next((line for part in parts for line in part(module)), None)
    if missing is not None:
        raise Problem(
            f"losses/{name}.py: {missing}; `python -m harness losses check {name}` says all that "
            "is wrong with it"
        )
    return module
