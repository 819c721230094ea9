"""Access control: this machine alone by default, elsewhere with a token."""

from __future__ import annotations

import ipaddress
import secrets
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from scoremachines.errors import InputError, whole

__all__ = ["COOKIE", "Access", "check_address", "is_loopback"]

COOKIE = "scoremachines"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Return whether a name or an address can be reached from this machine alone.

    Args:
        host: a name or an address.

    Returns:
        True for `localhost` and the addresses of the loopback.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """The rules of one server.

    On the loopback, a request must name this machine as its host, so that no page of another site
    can be led here by a name that it controls. Elsewhere, it must bring the token.

    Args:
        host: what the server is bound to.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.token = None if is_loopback(host) else secrets.token_urlsafe(24)

    def address(self, port: int) -> str:
        """Return the address to open, with the token where one is needed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/" + ("" if self.token is None else f"?token={self.token}")

    def allows_host(self, host: str | None) -> bool:
        """Return whether a request's `Host` may be answered."""
        if self.token is not None:
            return True
        try:
            name = urlsplit(f"//{host or ''}").hostname or ""
        except ValueError:
            return False
        return name in LOOPBACK or name == self.host

    def allows(self, headers: Message, query_token: str | None = None) -> bool:
        """Return whether a request brings the token, where one is needed.

        Args:
            headers: of the request.
            query_token: the token in the address, if there is one.

        Returns:
            Whether it may be answered.
        """
        if self.token is None:
            return True
        given = [query_token, _cookie(headers.get("Cookie"))]
        scheme, _, bearer = (headers.get("Authorization") or "").partition(" ")
        given.append(bearer.strip() if scheme.lower() == "bearer" else None)
        return any(
            secrets.compare_digest(each.encode("utf-8", "replace"), self.token.encode())
            for each in given
            if each
        )

    def allows_writing(self, headers: Message) -> bool:
        """Return whether a question came from a page of ours, not from that of another site."""
        origin, host = headers.get("Origin"), headers.get("Host")
        site = headers.get("Sec-Fetch-Site", "same-origin")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            ours = origin is None or urlsplit(origin).netloc == host
        except ValueError:
            return False
        return ours and site in ("same-origin", "none") and kind == "application/json"


def _cookie(header: str | None) -> str | None:
    try:
        found = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def check_address(host: str, port: int) -> None:
    """Refuse an address that no server can have.

    Args:
        host: a name or an address.
        port: from 0 (any that is free) to 65535.

    Raises:
        InputError: the port is out of range, or there is no host.
    """
    if not host:
        raise InputError("host", host, "a name or an address, such as 127.0.0.1")
    whole("port", port, 0, 65535)
