"""Rows as pandas data frames. pandas is imported where the first frame is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.schema import Problem
from harness.tables.record_rows import Rows

if TYPE_CHECKING:
    import pandas

# Types that know a missing value: a run without a fold stays a row of whole numbers.
DTYPES: dict[str, Any] = {
    "text": "string",
    "whole": "Int64",
    "number": "float64",
    "truth": "boolean",
}


def frame(rows: Rows) -> pandas.DataFrame:
    """The rows as a data frame, a column of texts, whole numbers, numbers or truths each."""
    try:
        import pandas
    except ImportError:
        raise Problem(
            "data frames need the package pandas, which is not installed: python -m pip install "
            "pandas; `python -m harness table --per-run --format csv` prints the runs without it"
        ) from None
    return pandas.DataFrame(
        {
            name: pandas.Series(list(values), dtype=DTYPES[rows.kinds[name]])
            for name, values in rows.values.items()
        }
    )
