"""The metric-learning reality check: trained fairly, is this loss better than that one?

From Python: `load`, `run_study` and `score` (results/PYTHON.md), imported when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as of typing, whose import would be most of the start-up until Ctrl-C works
if TYPE_CHECKING:
    from harness.commands.python.embeddings import score
    from harness.commands.python.results import Results, load
    from harness.commands.python.studies import run_study
    from harness.schema import Problem, Study

__version__ = "0.1.0"
__all__ = ["Problem", "Results", "Study", "load", "run_study", "score"]

_HOMES = {
    "Problem": "harness.schema",
    "Study": "harness.schema",
    "Results": "harness.commands.python.results",
    "load": "harness.commands.python.results",
    "run_study": "harness.commands.python.studies",
    "score": "harness.commands.python.embeddings",
}


def __getattr__(name: str) -> object:
    """A name of `__all__`, imported only now: `import harness` alone loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
