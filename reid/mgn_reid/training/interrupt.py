"""A training that is told to stop finishes its iteration first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Request:
    """signal: the number of the one that came, if any."""

    signal: int | None = None

    @property
    def came(self) -> bool:
        """Whether to stop."""
        return self.signal is not None


@contextmanager
def requests() -> Iterator[Request]:
    """Within it, the first SIGINT or SIGTERM is only noted; a second one acts as it always does."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may say what signals do
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        for each in SIGNALS:
            signal.signal(each, before[each])

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number in SIGNALS:
            signal.signal(number, before[number])
