"""HTTP handler of the explorer: a fixed set of addresses, none a file's name."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socket import socket
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from scoremachines.errors import InputError
from scoremachines.explore.auth import COOKIE, Access
from scoremachines.explore.connections import Connections, Patient, drain
from scoremachines.explore.html import policy_of, render_live, render_problem
from scoremachines.explore.service import BusyError, Service

__all__ = ["Handler"]

LARGEST = 8 * 2**20
"""Bytes of the largest question that is read."""
ANSWER = 30.0
"""Seconds that a viewer may take to receive a part of an answer."""


class OpensRun(Protocol):
    """What opens the run that is shown, again where its files have changed."""

    def service(self, fresh: bool = False) -> Service: ...


class Serving(Protocol):
    """What a handler needs of its server."""

    access: Access
    connections: Connections
    desk: OpensRun


class Handler(BaseHTTPRequestHandler):
    """Answers one viewer."""

    server: Serving  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "scoremachines", ""
    connection: socket
    unread, ends = False, True
    """Whether a part of the request is left on the connection, and whether it ends even so."""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.patient = Patient(self.connection)
        self.rfile = io.BufferedReader(self.patient)

    def handle_one_request(self) -> None:
        self.server.connections.mark(self.connection, waiting=True)
        self.patient.expect()
        super().handle_one_request()

    def finish(self) -> None:
        super().finish()
        if self.unread:
            drain(self.connection)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, reply: Callable[[], None]) -> None:
        """Let `reply` answer; whatever goes wrong becomes an answer too."""
        names = ("Content-Length", "Transfer-Encoding")
        if any(self.headers.get(name, "0") != "0" for name in names):
            self.ends, self.close_connection, self.unread = self.close_connection, True, True
        try:
            if not self.server.access.allows_host(self.headers.get("Host")):
                self._problem(HTTPStatus.MISDIRECTED_REQUEST, "This name is not served here.")
            else:
                reply()
        except InputError as error:
            self._problem(HTTPStatus.BAD_REQUEST, str(error))
        except RecursionError:
            self._problem(HTTPStatus.BAD_REQUEST, "The question is nested too deeply.")
        except BusyError:
            self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many questions at once.")
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    def _get(self) -> None:
        self.server.connections.mark(self.connection, waiting=False)
        try:
            target = urlsplit(self.path)
            query = parse_qs(target.query, max_num_fields=20)
        except ValueError as error:
            raise InputError("address", self.path, "one of this page's", str(error)) from None
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
        path = self.path.partition("?")[0]
        if not self.server.access.allows(self.headers):
            self._problem(HTTPStatus.FORBIDDEN, "This question wants the token.")
        elif not self.server.access.allows_writing(self.headers):
            self._problem(HTTPStatus.FORBIDDEN, "This question comes from another page.")
        elif path != "/api/recompute":
            self._problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")
        else:
            content = self._content()
            if content is not None:
                self.server.connections.mark(self.connection, waiting=False)
                self._recompute(content)

    def _content(self) -> bytes | None:
        """Return what a question holds; None if it is refused for its length."""
        length = self.headers.get("Content-Length")
        if length is None or "Transfer-Encoding" in self.headers:
            text = "A question comes with its length, in one piece."
            self._problem(HTTPStatus.LENGTH_REQUIRED, text)
            return None
        if not (length.isascii() and length.isdigit()):
            raise InputError("Content-Length", length, f"a whole number from 0 to {LARGEST}")
        if len(length) > len(str(LARGEST)) or int(length) > LARGEST:
            text = f"A question has at most {LARGEST} bytes."
            self._problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
            return None
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise InputError("request", f"{len(content)} bytes", f"{length}, as stated")
        self.close_connection, self.unread = self.ends, False
        return content

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
        """Send what is wrong, as a page or, to the page's script, as JSON."""
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
        self.connection.settimeout(ANSWER)
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
        if self.close_connection:
            headers["Connection"] = "close"
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
