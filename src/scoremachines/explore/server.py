"""The page, served: a handful of fixed addresses, none of which names a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scoremachines.errors import InputError
from scoremachines.explore.access import COOKIE, Access, check_address
from scoremachines.explore.document import policy_of, render_live, render_problem
from scoremachines.explore.service import BusyError, Service

__all__ = ["Desk", "Server"]

LARGEST = 8 * 2**20
"""Bytes of the largest question that is read."""


class Desk:
    """The run that is shown, or the reason why there is none.

    Args:
        open_run: opens the run; asked again when a page is loaded and the last answer is stale.
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
    """Serves one run.

    Args:
        desk: where the run is kept.
        host: what to bind to.
        port: 0 for any that is free.

    Raises:
        InputError: the address cannot be bound to.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, desk: Desk, host: str = "127.0.0.1", port: int = 0) -> None:
        check_address(host, port)
        self.desk, self.access = desk, Access(host)
        self.address_family = AF_INET6 if ":" in host else AF_INET
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            accepted = "an address of this machine and a port that is free"
            reason = error.strerror or str(error)
            raise InputError("host", f"{host}:{port}", accepted, reason) from None

    @property
    def address(self) -> str:
        """The address to open."""
        return self.access.address(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of viewers who went away in the middle of an answer."""


class Handler(BaseHTTPRequestHandler):
    """Answers one viewer."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "scoremachines", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, reply: Callable[[], None]) -> None:
        """Let `reply` answer; whatever goes wrong becomes an answer too."""
        try:
            if not self.server.access.allows_host(self.headers.get("Host")):
                self._problem(HTTPStatus.MISDIRECTED_REQUEST, "This name is not served here.")
            else:
                reply()
        except InputError as error:
            self._problem(HTTPStatus.BAD_REQUEST, str(error))
        except BusyError:
            self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many questions at once.")
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    def _get(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query, max_num_fields=20)
        token = query.get("token", [None])[0]
        if not self.server.access.allows(self.headers, token):
            text = "This page wants the token that is part of the address printed at its start."
            self._problem(HTTPStatus.FORBIDDEN, text)
        elif target.path == "/" and token is not None:
            self._admit()
        elif target.path == "/":
            self._page()
        elif target.path.startswith("/api/"):
            self._data(target.path.removeprefix("/api/"), query)
        else:
            self._problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def _admit(self) -> None:
        """Keep the token in a cookie, so that it stands in no address from here on."""
        extra = {"Location": "/"}
        if self.server.access.token is not None:
            attributes = "Path=/; HttpOnly; SameSite=Strict"
            extra["Set-Cookie"] = f"{COOKIE}={self.server.access.token}; {attributes}"
        self._send(HTTPStatus.SEE_OTHER, b"", "text/plain", extra)

    def _page(self) -> None:
        try:
            service = self.server.desk.service(fresh=True)
        except InputError as error:
            self._problem(HTTPStatus.GONE, str(error))
            return
        html = render_live(service.subject.title)
        self._send_page(HTTPStatus.OK, html)

    def _data(self, name: str, query: dict[str, list[str]]) -> None:
        try:
            service = self.server.desk.service()
        except InputError as error:
            self._problem(HTTPStatus.GONE, str(error))
            return
        if name == "overview":
            self._json(service.overview())
        elif name == "trace":
            machine = query.get("machine", [""])[0]
            sample = _whole("sample", query)[0]
            found = service.trace(machine, sample)
            if not found["ready"] and "preview" in query:
                found["preview"] = service.preview(machine, sample)
            self._json(found)
        elif name == "training":
            self._json(service.training(_whole("index", query)))
        else:
            self._problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def _post(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST:
            self.close_connection = True
            text = f"A question has at most {LARGEST} bytes."
            self._problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
            return
        content = self.rfile.read(int(length))
        if not self.server.access.allows(self.headers):
            self._problem(HTTPStatus.FORBIDDEN, "This question wants the token.")
        elif not self.server.access.allows_writing(self.headers):
            self._problem(HTTPStatus.FORBIDDEN, "This question comes from another page.")
        elif urlsplit(self.path).path != "/api/recompute":
            self._problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")
        else:
            self._recompute(content)

    def _recompute(self, content: bytes) -> None:
        try:
            question = json.loads(content)
        except (ValueError, RecursionError):
            raise InputError("request", f"{len(content)} bytes", "JSON") from None
        try:
            service = self.server.desk.service()
        except InputError as error:
            self._problem(HTTPStatus.GONE, str(error))
            return
        self._json(service.recompute(question))

    def _json(self, content: object) -> None:
        body = json.dumps(content, separators=(",", ":")).encode()
        self._send(HTTPStatus.OK, body, "application/json")

    def _problem(self, status: HTTPStatus, text: str) -> None:
        """Say what is wrong, as a page or, to the page's script, as JSON."""
        if self.path.startswith("/api/"):
            self._send(status, json.dumps({"problem": text}).encode(), "application/json")
        else:
            self._send_page(status, render_problem(text))

    def _send_page(self, status: HTTPStatus, html: str) -> None:
        extra = {"Content-Security-Policy": policy_of(html)}
        self._send(status, html.encode(), "text/html; charset=utf-8", extra)

    def _send(
        self, status: HTTPStatus, body: bytes, kind: str, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        for name, value in (headers | (extra or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def _whole(name: str, query: dict[str, list[str]]) -> list[int]:
    """Return whole numbers of at least 0 from an address, such as `index=3,5`."""
    text = query.get(name, [""])[0]
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise InputError(name, text, "whole numbers of at least 0, with commas between them")
    return [int(word) for word in words]
