"""The page of `main_tables_large`: that of `main_tables`, of large crops."""

from harness.tables.experiments.main_tables import page

__all__ = ["page"]
