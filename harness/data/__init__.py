"""Images, tables of images and features on disk, turned into arrays."""

from collections.abc import Callable

Say = Callable[[str], None]  # prints a line of progress
