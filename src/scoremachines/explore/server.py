"""The page, served to a bounded number of viewers at once."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any

from scoremachines.errors import InputError, system_reason
from scoremachines.explore.auth import Access, check_address
from scoremachines.explore.connections import Connections
from scoremachines.explore.handler import Handler
from scoremachines.explore.service import Service

__all__ = ["Desk", "Server"]

FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Desk:
    """The run that is shown, or the reason why there is none.

    Args:
        open_run: opens the run; called again when a page is loaded and the last answer is stale.
    """

    def __init__(self, open_run: Callable[[], Service]) -> None:
        self._open, self._lock = open_run, threading.Lock()
        self._service: Service | None = None

    def service(self, fresh: bool = False) -> Service:
        """Return what answers questions about the run.

        Args:
            fresh: open the run again if it is not what it was.

        Returns:
            The service.

        Raises:
            InputError: the run was deleted, is damaged or has changed.
        """
        with self._lock:
            if self._service is not None:
                try:
                    self._service.subject.check()
                except InputError:
                    if not fresh:
                        raise
                    self._service.close()
                    self._service = None
            if self._service is None:
                self._service = self._open()
                self._service.subject.check()
            return self._service


class Server(ThreadingHTTPServer):
    """Serves one run, to a bounded number of viewers at once.

    Args:
        desk: where the run is kept.
        host: what to bind to.
        port: 0 for any that is free.
        others: how many of the next ports may take its place if it is taken.

    Raises:
        InputError: the address cannot be bound to.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, desk: Desk, host: str = "127.0.0.1", port: int = 0, *, others: int = 0
    ) -> None:
        check_address(host, port)
        self.desk, self.access, self.connections = desk, Access(host), Connections()
        self.address_family = AF_INET6 if ":" in host else AF_INET
        for each in range(port, min(port + others, 65535) + 1):
            try:
                super().__init__((host, each), Handler)
                break
            except OSError as error:
                if error.errno == errno.EADDRINUSE and each < min(port + others, 65535):
                    continue
                accepted = "an address of this machine and a port that is free"
                raise InputError(
                    "host", f"{host}:{port}", accepted, system_reason(error)
                ) from None

    @property
    def address(self) -> str:
        """The address to open."""
        return self.access.address(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, where there is room for another."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        request.setblocking(False)
        with suppress(OSError):
            request.send(FULL)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, which makes room for another."""
        self.connections.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore viewers who went away in the middle of an answer."""
