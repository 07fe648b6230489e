"""The house: which room may import which, what must stay pure, and who may print."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HARNESS = ROOT / "harness"

# A room -> the rooms that it may import, beside itself and the ground.
ROOMS: dict[str, set[str]] = {
    "measure": set(),
    "protocol": set(),
    "data": set(),
    "records": set(),
    "training": {"protocol", "measure"},
    "tables": {"protocol", "measure"},
    "report": {"tables", "protocol", "measure"},
    "trackers": {"records"},
    "engines": {"training", "data", "records", "protocol", "measure"},
    "audit": {"tables", "records", "protocol", "measure"},
    "commands": {
        *("audit", "engines", "report", "tables", "trackers", "training", "records", "data"),
        *("protocol", "measure"),
    },
}
# The ground: every room may import these nouns, and they import nothing else of the harness.
NOUNS = {"schema", "seeds", "files", "threads"}
# The ground's doors: they call the commands, and no room may import them. `__init__` is the one for
# Python; what it offers is imported when it is first used, so that every room can still import
# `harness` without the others.
DOOR = {
    "__init__": {"commands", "schema"},
    "__main__": {"cli"},
    "cli": {"commands", "schema", "records"},
}
PURE = {"measure", "protocol"}

IMPURE_MODULES = {
    *("os", "io", "sys", "time", "random", "pathlib", "subprocess", "shutil", "tempfile"),
    *("glob", "socket", "logging", "threading", "multiprocessing", "importlib", "builtins"),
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__"}
IMPURE_METHODS = {
    # files
    *("read_text", "write_text", "read_bytes", "write_bytes", "open", "touch", "mkdir", "unlink"),
    *("rename", "rmdir", "iterdir", "glob", "rglob", "exists", "is_file", "is_dir", "stat"),
    *("tofile", "fromfile", "savez", "savetxt", "loadtxt", "to_csv", "read_csv"),
    # clocks
    *("now", "today", "utcnow", "monotonic", "perf_counter", "time_ns"),
}
TORCH_DRAWS = {"manual_seed", "seed", "rand", "randn", "randint", "randperm", "normal"}
NUMPY_GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64"}  # the rest is global


def modules() -> list[Path]:
    return sorted(HARNESS.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str:
    """The room of a file; for the files of the ground their own name."""
    first = path.relative_to(HARNESS).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported, wherever in a file, by statement or by name in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant):
            text = str(node.value)
            if text.startswith("harness.") and " " not in text:
                yield text


def rooms_imported(source: str) -> set[str]:
    """Rooms and files of the ground that a source imports."""
    names = {name for name in imports(ast.parse(source)) if name.startswith("harness.")}
    return {name.split(".")[1] for name in names} - {"__version__"}


def wrong_arrows(source: str, room: str) -> set[str]:
    """What a source of a room imports and may not."""
    allowed = {**{noun: {noun} for noun in NOUNS}, **DOOR}.get(room)
    if allowed is None:
        allowed = {room} | NOUNS | ROOMS[room]
    return rooms_imported(source) - allowed


def is_global_draw(call: ast.Call) -> bool:
    """Whether a call draws from torch's or numpy's global generator, or seeds it."""
    owner, _, name = ast.unparse(call.func).rpartition(".")
    if owner in ("np.random", "numpy.random"):
        return name not in NUMPY_GENERATORS
    has_generator = "generator" in {keyword.arg for keyword in call.keywords}
    return owner == "torch" and name in TORCH_DRAWS and not has_generator


def impurities(source: str) -> set[str]:
    """Files, clocks, printing and global randomness that a source reaches for."""
    tree = ast.parse(source)
    bad = {name.split(".")[0] for name in imports(tree)} & IMPURE_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            bad |= {node.func.id} & IMPURE_CALLS
        if isinstance(node, ast.Call) and is_global_draw(node):
            bad.add(ast.unparse(node.func).split(".")[-1])
        if isinstance(node, ast.Attribute):
            bad |= {node.attr} & IMPURE_METHODS
    return bad


def test_every_file_stands_in_a_room_or_on_the_ground():
    assert {room_of(path) for path in modules()} == {*ROOMS, *NOUNS, *DOOR}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_one_line_what_it_holds(room):
    docstring = ast.get_docstring(ast.parse((HARNESS / room / "__init__.py").read_text()))
    assert docstring


def test_no_room_is_imported_by_one_that_it_imports():
    for room, below in ROOMS.items():
        for other in below:
            assert room not in ROOMS[other]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_along_the_arrows(path):
    assert wrong_arrows(path.read_text(), room_of(path)) == set()


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) in PURE], ids=name_of)
def test_measure_and_protocol_open_no_file_read_no_clock_print_nothing_and_draw_from_no_global(
    path,
):
    assert impurities(path.read_text()) == set()


@pytest.mark.parametrize(
    ("room", "line", "expected"),
    [
        ("protocol", "from harness.records import records", {"records"}),
        ("protocol", "import harness.training.train", {"training"}),
        ("measure", "from harness.protocol import plan", {"protocol"}),
        ("data", "from harness import records", {"records"}),
        ("training", "from harness.data import datasets", {"data"}),
        ("tables", "from harness.records import folder", {"records"}),
        ("engines", "from harness.tables import table", {"tables"}),
        ("audit", "from harness.engines.execute import execute", {"engines"}),
        ("schema", "from harness.seeds import seed_from", {"seeds"}),
        ("records", "from harness.cli import main", {"cli"}),
        ("commands", "from harness import load", {"load"}),
        ("__init__", "from harness.engines import local", {"engines"}),
        ("protocol", "importlib.import_module('harness.data.datasets')", {"data"}),
        ("training", "from harness.protocol import plan", set()),
        ("commands", "from harness.audit import audit", set()),
    ],
)
def test_an_arrow_that_goes_up_or_aside_is_found(room, line, expected):
    assert wrong_arrows(f"def f():\n    {line}\n", room) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Path('plan.txt').write_text('x')", "write_text"),
        ("from pathlib import Path", "pathlib"),
        ("datetime.datetime.now()", "now"),
        ("datetime.date.today()", "today"),
        ("open('x').read()", "open"),
        ("print(1)", "print"),
        ("import time", "time"),
        ("os = __import__('os')", "__import__"),
        ("np.random.seed(0)", "seed"),
        ("np.random.permutation(3)", "permutation"),
        ("torch.rand(3)", "rand"),
        ("study.to_csv('x')", "to_csv"),
    ],
)
def test_an_impure_line_in_the_plan_is_found(line, expected):
    source = (HARNESS / "protocol" / "plan.py").read_text()
    begun = "def next_runs("
    assert begun in source
    planted = source.replace(begun, f"def planted(study):\n    {line}\n\n\n{begun}", 1)
    assert expected in impurities(planted) - impurities(source)


def calls(path: Path) -> Iterator[str]:
    """What a file calls, as it is written there."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_only_the_command_line_prints_or_exits():
    for path in modules():
        if room_of(path) not in ("commands", "cli"):
            assert not {"print", "sys.exit", "exit"} & set(calls(path)), path


def test_only_the_execution_of_a_run_asks_for_test_classes():
    """Beside the bench, which holds a study as others write it."""
    callers = {
        name_of(path)
        for path in modules()
        if any(call.split(".")[-1] == "test_part" for call in calls(path))
    }
    bench = {name for name in callers if name.startswith("harness/commands/bench/")}
    recorded = "harness/engines/retrain.py"  # trains a recorded final run again, to its end
    assert callers - bench == {"harness/engines/execute.py", recorded}


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "losses").glob("*.py")), *sorted((ROOT / "studies").glob("*.py"))],
    ids=name_of,
)
def test_losses_know_nothing_of_the_harness_and_studies_only_its_nouns(path):
    allowed = {"schema"} if path.parent.name == "studies" else set()
    assert rooms_imported(path.read_text()) <= allowed
