"""Who may ask the server: this machine, this page, and who has the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from scoremachines.explore import Server
from scoremachines.explore.auth import Access, is_loopback
from support.explorer import ask, base, question, raw, served


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.7:80"]
)
def test_another_name_for_this_machine_is_not_answered(server: Server, host: str) -> None:
    request = f"GET /api/overview HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    answer = raw(server, request.encode())
    assert answer.split(b" ", 2)[1] == b"421"
    assert b"samples" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_questions_of_other_pages_are_refused(server: Server, headers: dict[str, str]) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, _ = ask(base(server) + "/api/recompute", question(), **named)
    assert status == 403


def test_elsewhere_a_token_is_wanted(painted_run: Path) -> None:
    with served(painted_run, "0.0.0.0") as server:
        token, here = server.access.token, base(server)
        assert token is not None
        assert len(token) >= 32
        assert server.address.endswith(f"/?token={token}")
        for path in ("/", "/api/overview", "/?token=", "/?token=wrong", f"/?token={token[:-1]}"):
            assert ask(here + path)[0] == 403
        assert ask(here + "/api/recompute", question())[0] == 403
        assert ask(here + "/api/overview", Cookie="scoremachines=wrong")[0] == 403
        answer = raw(server, f"GET /?token={token} HTTP/1.0\r\n\r\n".encode())
        assert answer.split(b" ", 2)[1] == b"303"
        assert b"Location: /\r\n" in answer
        assert b"HttpOnly; SameSite=Strict" in answer
        for headers in (
            {"Cookie": f"scoremachines={token}"},
            {"Authorization": f"Bearer {token}"},
        ):
            assert ask(here + "/api/overview", **headers)[0] == 200
            assert ask(here + "/api/recompute", question(), **headers)[0] == 200


def test_only_the_loopback_needs_no_token() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert is_loopback(host)
        assert Access(host).token is None
    for host in ("0.0.0.0", "::", "192.168.0.3", "example.org"):
        assert not is_loopback(host)
    assert Access("0.0.0.0").token != Access("0.0.0.0").token
