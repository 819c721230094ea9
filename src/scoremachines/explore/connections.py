"""Connections to the explorer's server, bounded in number and in time."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR, socket
from time import monotonic
from typing import Any

__all__ = ["CONNECTIONS", "Connections", "Patient", "drain"]

CONNECTIONS = 64
"""How many may be open at once."""
IDLE, REQUEST = 15.0, 30.0
"""Seconds until a request must begin, and from then on until all of it must be there."""
LINGER, LEFT_OVER = 1.0, 2**20
"""Seconds and bytes, at most, of a request that is read only to be thrown away."""


class Connections:
    """The connections that are open.

    Where there is no room for another, the one that has kept its request back for longest goes.

    Args:
        most: how many there may be.
    """

    def __init__(self, most: int = CONNECTIONS) -> None:
        self.most, self._lock = most, threading.Lock()
        self._waiting: dict[socket, bool] = {}  # in the order in which they began to wait

    def admit(self, connection: socket) -> bool:
        """Take in a connection, which waits for its request; False if all others are busy.

        Args:
            connection: a new one.

        Returns:
            Whether it is among the open ones now.
        """
        with self._lock:
            if len(self._waiting) >= self.most:
                dawdling = next((each for each, idle in self._waiting.items() if idle), None)
                if dawdling is None:
                    return False
                del self._waiting[dawdling]
                with suppress(OSError):
                    dawdling.shutdown(SHUT_RDWR)  # its thread reads that nothing more will come
            self._waiting[connection] = True
            return True

    def mark(self, connection: socket, *, waiting: bool) -> None:
        """Note whether a connection waits for a request, or has one that is being answered."""
        with self._lock:
            if self._waiting.pop(connection, None) is not None:
                self._waiting[connection] = waiting

    def leave(self, connection: socket) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._waiting.pop(connection, None)


class Patient(io.RawIOBase):
    """What comes in on a connection, until patience ends: then reading raises TimeoutError.

    Args:
        connection: to read from.
    """

    def __init__(self, connection: socket) -> None:
        self.connection, self.until, self.begun = connection, 0.0, False

    def expect(self) -> None:
        """Begin to wait for a request."""
        self.until, self.begun = monotonic() + IDLE, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        count = self.connection.recv_into(buffer)
        if not self.begun:
            self.until, self.begun = monotonic() + REQUEST, True
        return count


def drain(connection: socket) -> None:
    """Read what is left of a refused request for a moment, so that the answer still arrives.

    Closed with unread bytes, a connection would be reset, and the answer lost.

    Args:
        connection: to which nothing more is written.
    """
    until, left = monotonic() + LINGER, LEFT_OVER
    with suppress(OSError):
        connection.shutdown(SHUT_WR)
        while left > 0 and until > monotonic():
            connection.settimeout(max(0.001, until - monotonic()))
            count = len(connection.recv(65536))
            if not count:
                break
            left -= count
