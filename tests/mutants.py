"""Do the tests notice when the code says something else? Mutation testing of a random sample.

    python -m pip install cosmic-ray
    python -m tests.mutants --sample 40 --out FILE measure protocol records audit

For each room it draws places in harness/ROOM where Cosmic Ray knows a mutation (an operator, a
comparison, a number, a branch), the same ones for the same --seed, and one mutation for each. The
checkout that it is called in is changed while it runs, so give it a clone. A mutant meets first the
tests of its own module, then those of its room, then those of the rooms that use it; the first that
fail have killed it. Each line of FILE is a JSON object: the mutant, its difference, and what killed
it, or null. One that Python cannot parse, or in which only a "*" between arguments differs, is no
other program and counts for nothing. What FILE has already is not run again. The last line of the
output says how many mutants were killed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 600  # after which tests count as failed: a mutant may loop for ever
# a mutant and its original may be written within one second, and bytecode goes by that
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
NO_PROGRAM = "it is no other program"
USERS = {
    "measure": ["tests/audit/test_evidence.py", "tests/tables", "tests/commands/test_score.py"],
    "protocol": [
        "tests/tables/test_optimism.py",
        "tests/engines/test_conductor.py",
        "tests/training/test_train.py",
    ],
    "records": ["tests/engines/test_mixing.py", "tests/commands/test_check.py"],
    "audit": ["tests/commands/test_audit.py"],
}


def annotated(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end (line, column): a mutation in one changes nothing."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for root in (getattr(node, name, None) for name in ("annotation", "returns")):
            if isinstance(root, ast.expr):
                end = (root.end_lineno or 0, root.end_col_offset or 0)
                found.append(((root.lineno, root.col_offset), end))
    return found


def mutants(room: str, sample: int, seed: int) -> Iterator[dict[str, Any]]:
    """A mutation at each of so many random places of a room."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    places: dict[tuple[str, tuple[int, int]], list[tuple[str, int]]] = defaultdict(list)
    for path in sorted(Path("harness", room).glob("*.py")):
        tree, ignored = get_ast_from_path(path), annotated(path.read_text())
        for name in sorted(operator_names()):
            operator, occurrence = get_operator(name), 0
            try:
                operator = operator()
            except TypeError:  # an operator that wants to be told names
                continue
            for node in ast_nodes(tree):
                for start, _ in operator.mutation_positions(node):
                    if not any(first <= start < end for first, end in ignored):
                        places[str(path), start].append((name, occurrence))
                    occurrence += 1
    draw = random.Random(f"{seed} {room}")
    for (path_name, start), options in draw.sample(sorted(places.items()), sample):
        name, occurrence = draw.choice(options)
        yield {
            "path": path_name,
            "line": start[0],
            "column": start[1],
            "operator": name,
            "occurrence": occurrence,
        }


def stages(path: Path) -> list[list[str]]:
    """The tests that a mutant of this file meets, nearest first."""
    room = path.parent.name
    tests = sorted(Path("tests", room).glob("test_*.py"))
    own = [str(test) for test in tests if test.stem == f"test_{path.stem}"]
    near = [str(test) for test in tests if path.stem in test.read_text()]
    return [*filter(None, [own, near]), [f"tests/{room}"], USERS[room]]


def killed_by(python: str, path: Path) -> str | None:
    """The first failing test, or None where all pass."""
    for tests in stages(path):
        words = [python, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT
            )
        except subprocess.TimeoutExpired:
            return "time"
        if done.returncode:
            lines = done.stdout.splitlines()
            failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
            return failed[0] if failed else f"exit {done.returncode}"
    return None


def is_another_program(before: str, after: str) -> bool:
    """Whether Python can parse it, and it differs by more than a "*" or "/" between arguments."""
    try:
        return _without_markers(before) != _without_markers(after)
    except SyntaxError:
        return False


def _without_markers(source: str) -> str:
    """A program's tree in which it does not show how arguments may be given."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arguments):
            node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            node.defaults = [*node.defaults, *filter(None, node.kw_defaults)]
            node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
    return ast.dump(tree)


def main() -> None:
    """Run the sample of every room that is named."""
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("rooms", nargs="+", choices=list(USERS), metavar="ROOM")
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", default=sys.executable, help="the one that runs the tests")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    known = [json.loads(line) for line in lines]
    drawn = [mutant for room in given.rooms for mutant in mutants(room, given.sample, given.seed)]
    for mutant in drawn:
        if any(mutant.items() <= row.items() for row in known):
            continue
        path = Path(mutant["path"])
        with use_mutation(path, get_operator(mutant["operator"])(), mutant["occurrence"]) as (
            before,
            after,
        ):
            changed = [
                f"{old.strip()} -> {new.strip()}"
                for old, new in zip(before.splitlines(), after.splitlines(), strict=False)
                if old != new
            ]
            killer = NO_PROGRAM
            if is_another_program(before, after):
                killer = killed_by(given.python, path)
        with given.out.open("a") as file:
            row = {**mutant, "difference": changed[:1], "killed_by": killer}
            file.write(json.dumps(row) + "\n")
    rows = [json.loads(line) for line in given.out.read_text().splitlines()]
    programs = [row for row in rows if row["killed_by"] != NO_PROGRAM]
    killed = sum(row["killed_by"] is not None for row in programs)
    print(f"{killed} of {len(programs)} mutants in {given.out} were killed")


if __name__ == "__main__":
    main()
