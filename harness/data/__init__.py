"""Images, tables of images and features on disk, turned into arrays."""

import logging
from collections.abc import Callable

Say = Callable[[str], None]  # prints a line of progress


def to_log(line: str) -> None:
    """Write to the log, which some engines keep: a worker's node may have to fill the cache."""
    logging.getLogger("harness").info(line)
