"""The clock that governs everything the emulator dates: codes, tokens, the `Date` header."""

from __future__ import annotations

import threading
import time


class MovableClock:
    """A clock that runs like the real one until a test moves it.

    It counts from the machine's monotonic clock, so that a step of the machine's wall clock does not move it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Return the seconds since 1970 as the emulator sees them."""
        with self._lock:
            return time.monotonic() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds` (backward if negative); it runs on from there."""
        with self._lock:
            self._offset += seconds

    def set(self, epoch: float) -> None:
        """Set the clock to `epoch`, seconds since 1970; it runs on from there."""
        with self._lock:
            self._offset = epoch - time.monotonic()
