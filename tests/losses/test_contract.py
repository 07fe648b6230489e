"""The contract of losses/__init__.py over every file of losses/: what is declared and refused.

A new file is tested without an edit here. How losses behave on batches: test_learning.py.
"""

from __future__ import annotations

import ast
import inspect
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from optuna.distributions import BaseDistribution
from torch import nn

from tests.losses.contract import (
    DIM,
    FOLDER,
    N_CLASSES,
    NAMES,
    batch_of,
    build,
    every_loss,
    every_published_loss,
    module_of,
    parameters_of,
)

KINDS = {"pair", "proxy", "ranking", "classification", "hybrid"}
CONSTANTS: dict[str, type] = {
    "PAPER": str,
    "YEAR": int,
    "KIND": str,
    "EMBEDDING": str,
    "RETRIEVAL": str,
    "MIN_IMAGES_PER_CLASS": int,
    "OWN_PARAMETERS": bool,
    "SPACE": dict,
    "FIXED": dict,
    "FOLLOWUP": dict,
    "REFERENCE_NORM": dict,
    "SOURCES": dict,
    "COST": str,
    "STATUS": str,
    "Loss": type,
}


def types_of(module: ModuleType, parameter: str) -> tuple[Any, ...]:
    hint = typing.get_type_hints(module.Loss.__init__)[parameter]
    return typing.get_args(hint) or (hint,)


def test_the_folder_holds_losses() -> None:
    assert "warped" in NAMES


@every_loss
def test_every_constant_has_its_type(name: str) -> None:
    module = module_of(name)
    for constant, kind in CONSTANTS.items():
        assert type(getattr(module, constant)) is kind, constant
    assert module.__doc__
    assert len(module.__doc__.strip()) > 80
    assert module.Loss.__doc__
    assert issubclass(module.Loss, nn.Module)


@every_loss
def test_constants_take_the_values_of_the_contract(name: str) -> None:
    module = module_of(name)
    assert module.KIND in KINDS
    assert module.EMBEDDING in ("unit", "unbounded")
    assert module.RETRIEVAL in ("cosine", "euclidean")
    assert module.STATUS in ("authors", "library", "paper", "own")
    assert module.MIN_IMAGES_PER_CLASS >= 1
    assert 1990 <= module.YEAR <= 2030
    assert str(module.YEAR) in module.PAPER
    assert module.COST.startswith("O(")


@every_loss
def test_space_and_fixed_name_exactly_the_constructors_parameters(name: str) -> None:
    module = module_of(name)
    assert not set(module.SPACE) & set(module.FIXED)
    assert set(module.SPACE) | set(module.FIXED) == set(parameters_of(module))
    for parameter in inspect.signature(module.Loss.__init__).parameters.values():
        assert parameter.name == "self" or parameter.kind is inspect.Parameter.KEYWORD_ONLY
    for key, parameter in parameters_of(module).items():
        assert parameter.default is not inspect.Parameter.empty, key
    assert all(isinstance(reason, str) and reason for reason in module.FIXED.values())


@every_loss
def test_searched_ranges_are_distributions_with_a_source(name: str) -> None:
    module = module_of(name)
    for key, distribution in {**module.SPACE, **module.FOLLOWUP}.items():
        assert isinstance(distribution, BaseDistribution), key
    for key in module.FOLLOWUP:
        assert key in module.SPACE or (
            key.endswith("_ratio") and key.removesuffix("_ratio") in module.SPACE
        ), key
    assert set(module.SOURCES) == set(module.SPACE) | set(module.FOLLOWUP)
    assert all(isinstance(source, str) and source for source in module.SOURCES.values())
    assert set(module.REFERENCE_NORM) <= set(module.SPACE)
    assert all(type(norm) is float and norm > 0 for norm in module.REFERENCE_NORM.values())
    assert module.EMBEDDING == "unbounded" or not module.REFERENCE_NORM


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_nothing_imports_the_harness(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            imported = [node.module or ""]
        assert not any(item.split(".")[0] == "harness" for item in imported)


@every_loss
def test_trainable_parameters_are_declared_and_grouped(name: str) -> None:
    module = module_of(name)
    loss = build(module)
    parameters = list(loss.parameters())
    assert bool(parameters) is module.OWN_PARAMETERS
    if hasattr(loss, "groups"):
        groups = typing.cast(Any, loss).groups()
        grouped = [parameter for group in groups for parameter in group["params"]]
        assert sorted(map(id, grouped)) == sorted(map(id, parameters))
        for group in groups:
            assert {"params", "lr_factor"} <= set(group) <= {"params", "lr_factor", "weight_decay"}
            assert group["lr_factor"] >= 0
            # without the key the study's weight decay applies
            assert isinstance(group.get("weight_decay", 0.0), float)


@every_loss
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="no_such_parameter"):
        module_of(name).Loss(n_classes=N_CLASSES, dim=DIM, no_such_parameter=1.0)


@every_published_loss
def test_values_outside_the_domain_are_refused_by_name(name: str) -> None:
    module = module_of(name)
    for parameter in parameters_of(module):
        types = types_of(module, parameter)
        if float in types:
            bad: Any = float("nan")
        elif all(kind is str or isinstance(kind, str) for kind in types):
            bad = "no such value"
        elif int in types and parameter in module.SPACE:
            bad = -1
        else:
            continue
        with pytest.raises(ValueError, match=rf"\b{parameter}\b"):
            module.Loss(n_classes=N_CLASSES, dim=DIM, **{parameter: bad})


@every_published_loss
@pytest.mark.parametrize("label", [-1, N_CLASSES])
def test_labels_outside_the_classes_are_refused_by_name(name: str, label: int) -> None:
    module = module_of(name)
    embeddings, labels = batch_of(module, "ordinary")
    labels[0] = label
    with pytest.raises(ValueError, match=rf"(?s)labels.*{label}.*n_classes"):
        build(module)(embeddings, labels)


@every_published_loss
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_embeddings_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    module = module_of(name)
    embeddings, labels = batch_of(module, "ordinary")
    embeddings[1, 2] = bad
    with pytest.raises(ValueError, match=r"embeddings.*finite"):
        build(module)(embeddings, labels)


@every_published_loss
def test_embeddings_of_a_wrong_shape_are_refused(name: str) -> None:
    module = module_of(name)
    embeddings, labels = batch_of(module, "ordinary")
    with pytest.raises(ValueError, match=r"expected \[B, D\]"):
        build(module)(embeddings, labels[:-1])
