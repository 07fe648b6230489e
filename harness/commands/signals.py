"""Ctrl-C and SIGTERM while a study runs: the first one stops it in order, the second at once."""

from __future__ import annotations

import signal
import time
from types import FrameType

# An orderly stop after SIGTERM may take this long: whoever sends it does not wait for ever.
SECONDS_AFTER_SIGTERM = 60.0


class StopSignals:
    """While the context lasts, the first SIGINT or SIGTERM is noted and does nothing else.

    A second one raises KeyboardInterrupt at once. So does `received` when an orderly stop after
    SIGTERM takes longer than SECONDS_AFTER_SIGTERM. The argument of the KeyboardInterrupt is the
    exit code.
    """

    exit_code = 0  # 128 + the number of the signal, once one was received

    def __enter__(self) -> StopSignals:
        self._deadline: float | None = None
        self._handlers_before = {
            number: signal.signal(number, self._receive)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def received(self) -> bool:
        """Whether the study should stop."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise KeyboardInterrupt(self.exit_code)
        return self.exit_code != 0

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        is_second = self.exit_code != 0
        self.exit_code = 128 + number
        if is_second:
            raise KeyboardInterrupt(self.exit_code)
        if number == signal.SIGTERM:
            self._deadline = time.monotonic() + SECONDS_AFTER_SIGTERM
