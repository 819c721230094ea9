"""What the server refuses: paths, addresses and questions, each in one line."""

from __future__ import annotations

from typing import Any

import pytest

from scoremachines.explore import Server
from support.explorer import ask, base, question, raw

TRAVERSALS = [
    "/../settings.yaml",
    "/../../../../etc/passwd",
    "/settings.yaml",
    "/parts/run.json",
    "//etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/api/../settings.yaml",
    "/api/../../../../../etc/passwd",
    "/api/%2e%2e%2fsettings.yaml",
    "/api/training/../../settings.yaml",
    "/\\..\\settings.yaml",
    "/.%00/etc/passwd",
    "/api/overview/../../etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1/settings.yaml",
    "/explore.html",
    "/page.css",
    "/samples/0000.png",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_is_served(server: Server, path: str) -> None:
    host = b"Host: localhost\r\n"
    for method in (b"GET", b"HEAD"):
        answer = raw(server, method + b" " + path.encode() + b" HTTP/1.0\r\n" + host + b"\r\n")
        assert answer.split(b" ", 2)[1] in (b"400", b"404"), answer[:80]
        assert b"root:" not in answer
        assert b"fingerprint" not in answer
        assert b"scheduler" not in answer


@pytest.mark.parametrize(
    "query",
    [
        "trace",
        "trace?machine=run",
        "trace?machine=run&sample=-1",
        "trace?machine=run&sample=3",
        "trace?machine=run&sample=99999999999999999999",
        "trace?machine=run&sample=0x1",
        "trace?machine=../run&sample=0",
        "trace?machine=__class__&sample=0",
        "training",
        "training?index=20",
        "training?index=0,-1",
        "training?index=%D9%A1",
        "training?index=" + ",".join(["0"] * 257),
    ],
)
def test_bad_addresses_are_refused_in_one_line(server: Server, query: str) -> None:
    status, answer, _ = ask(f"{base(server)}/api/{query}")
    assert status == 400
    assert "Accepted:" in answer["problem"]
    assert "\n" not in answer["problem"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", []),
        ("image", "0" * 504),
        ("image", [0.0] * 503),
        ("image", [1e300] * 504),
        ("image", [None] * 504),
        ("image", [True] * 504),
        ("image", [float("nan")] * 504),
        ("alpha_bar", 0),
        ("alpha_bar", 1),
        ("alpha_bar", "0.5"),
        ("alpha_bar", float("inf")),
        ("noise", -1),
        ("noise", 1.5),
        ("noise", 2**40),
        ("window", "4"),
        ("window", "13"),
        ("window", 5),
        ("window", "__import__('os')"),
        ("window", "9" * 500),
        ("window", "image"),
        ("sources", "elsewhere"),
        ("sources", ["valid"]),
        ("attention", "/etc/passwd"),
        ("attention", "matrix.npy"),
        ("attention", None),
        ("label", 3),
        ("label", "red"),
        ("label", -1),
    ],
)
def test_bad_questions_are_refused_in_one_line(server: Server, name: str, value: Any) -> None:
    status, answer, _ = ask(base(server) + "/api/recompute", question(**{name: value}))
    assert status == 400, answer
    assert "Accepted:" in answer["problem"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"image": 1}']
)
def test_what_is_no_question_is_refused(server: Server, content: bytes) -> None:
    status, answer, _ = ask(base(server) + "/api/recompute", content)
    assert status == 400
    assert "Accepted:" in answer["problem"]


def test_a_question_too_long_is_not_read(server: Server) -> None:
    head = b"POST /api/recompute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for length, status in ((b"99999999", b"413"), (b"-1", b"400")):
        answer = raw(server, head + b"Content-Length: " + length + b"\r\n\r\n")
        assert answer.split(b" ", 2)[1] == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_do_nothing(server: Server, method: str) -> None:
    answer = raw(server, f"{method} / HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] == b"501"
