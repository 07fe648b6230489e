"""The arrows: imports go one way, and what must be light imports nothing heavy."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Every module of the harness -> the layer that it stands on; imports go to lower layers or equals.
CORE = {
    *(
        "schema",
        "seeds",
        "splits",
        "batches",
        "metrics",
        "neighbours",
        "products",
        "search",
        "plan",
        "stats",
    ),
    *("race", "comparisons", "ranks", "tables", "searches", "standard", "inflation"),
    *("over_searches", "grids", "uncertainty", "compare", "convergence"),
    *("tables_text", "inflation_text"),
    *("audit", "audit_comparability", "audit_evidence", "audit_literature", "audit_paper"),
    *("audit_statements", "conditions", "findings"),
}
DEVICE = {"network", "bn_inception", "folding", "reach", "train", "test_tuned"}
EDGES = {
    *("data", "datasets", "records", "provenance", "checkpoints", "weights", "locks"),
    *("execute", "engines", "status"),
    *("claims", "bibtex", "statements", "watch", "catalogue", "evidence"),
    *("figure", "verify", "export", "slurm", "slurm_jobs", "slurm_options", "ray_cluster"),
}
CONDUCTOR = {"study"}
TOP = {
    *("cli", "commands", "table_command", "compare_command", "launch", "found", "signals"),
    *("names", "bench", "__main__", "__init__"),
}
"""Core modules that may read no file, no clock, no global randomness, and print nothing."""


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def of_harness(path: Path) -> set[str]:
    return {
        name.split(".")[1]
        for name in imports(path)
        if name.startswith("harness.") and name != "harness"
    }


def modules() -> list[Path]:
    return sorted((ROOT / "harness").rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "harness").with_suffix("").parts[0]


def test_every_module_has_a_layer():
    known = CORE | DEVICE | EDGES | CONDUCTOR | TOP
    assert {layer(path) for path in modules()} <= known


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_a_module_imports_only_its_own_layer_and_those_below(path):
    allowed = {
        **dict.fromkeys(CORE, CORE | {"claims", "statements"}),
        **dict.fromkeys(DEVICE, CORE | DEVICE | {"data", "checkpoints", "weights"}),
        **dict.fromkeys(EDGES, CORE | DEVICE | EDGES | {"study"}),
        **dict.fromkeys(CONDUCTOR, CORE | DEVICE | EDGES | CONDUCTOR),
        **dict.fromkeys(TOP, CORE | DEVICE | EDGES | CONDUCTOR | TOP),
    }
    assert of_harness(path) <= allowed[layer(path)]


@pytest.mark.parametrize(
    "path", [path for path in modules() if layer(path) in CORE], ids=lambda path: path.stem
)
def test_the_core_opens_no_file_reads_no_clock_and_prints_nothing(path):
    tree = ast.parse(path.read_text())
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "print", "input"}
    assert not imports(path) & {"time", "os", "random", "subprocess", "shutil", "tempfile"}
    source = path.read_text()
    assert "np.random.seed" not in source
    assert "torch.manual_seed" not in source


@pytest.mark.parametrize(
    "path", [*(ROOT / "losses").glob("*.py"), *(ROOT / "studies").glob("*.py")], ids=str
)
def test_losses_and_studies_know_nothing_of_the_harness_but_its_nouns(path):
    assert of_harness(path) <= ({"schema"} if path.parent.name == "studies" else set())


def test_only_the_command_line_prints_or_exits():
    for path in modules():
        if layer(path) in TOP:
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "sys.exit", "exit"), path
