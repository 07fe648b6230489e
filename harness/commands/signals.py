"""Ctrl-C and SIGTERM while a study runs: once, an orderly end; twice, an end at once."""

from __future__ import annotations

import signal
import time
from types import FrameType

SECONDS = 60.0  # that an orderly end may take after SIGTERM, whose sender will not wait for ever


class Ending:
    """Whether an end has been asked for; a second signal is a KeyboardInterrupt where it comes.

    While the context lasts, SIGINT and SIGTERM are only written down; calling tells whether one
    came. KeyboardInterrupt too where an orderly end after SIGTERM has taken SECONDS. `code` is the
    exit code that says which signal it was.
    """

    code = 0

    def __enter__(self) -> Ending:
        self._deadline: float | None = None
        self._before = {
            number: signal.signal(number, self._come) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Whether the study should end."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise KeyboardInterrupt(self.code)
        return self.code != 0

    def _come(self, number: int, _frame: FrameType | None) -> None:
        again, self.code = self.code != 0, 128 + number
        if again:
            raise KeyboardInterrupt(self.code)
        if number == signal.SIGTERM:
            self._deadline = time.monotonic() + SECONDS
