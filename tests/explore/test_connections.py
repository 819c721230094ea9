"""The explorer's server under absurd requests, and under many and slow connections."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from pathlib import Path

import pytest

from scoremachines.explore import Server, connections
from scoremachines.explore.connections import Connections
from support.explorer import ask, base, question, raw, served

ABSURD = (
    "1e400", "-1e400", "NaN", "Infinity", "9" * 5000, "-" + "9" * 400, "-1", "1e308", "0.1",
    '"7"', '"' + "9" * 5000 + '"', '"nan:3"', '"0:3,inf:5"', '"\\ud800"', '"\\u0000"', "true",
    "null", "{}", "[]", "[" * 90 + "]" * 90, "[" * 5000 + "]" * 5000,
    '{"a":' * 90 + "1" + "}" * 90,
    "[NaN]", "2147483648", "1e3", '""',
)  # fmt: skip
NAMES = ("image", "alpha_bar", "noise", "window", "sources", "attention", "label")
HEAD = b"POST /api/recompute HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("name", NAMES)
def test_no_value_of_a_question_is_a_fault_of_the_server(server: Server, name: str) -> None:
    draw = random.Random(name)
    for value in ABSURD:
        fields = {each: json.dumps(given) for each, given in question().items()} | {name: value}
        if draw.random() < 0.2:
            fields[draw.choice(NAMES)] = draw.choice(ABSURD)
        text = "{" + ",".join(f'"{each}":{given}' for each, given in fields.items()) + "}"
        found, answer, _ = ask(base(server) + "/api/recompute", text.encode())
        assert found in (200, 400), (value[:40], answer)
        if found == 400:
            assert len(answer["problem"]) < 1000
            assert "\n" not in answer["problem"]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        ("9" * 5000, 413),
        ("9" * 12, 413),
        ("-1", 400),
        ("1e3", 400),
        ("٣", 400),
        ("2", 400),
        ("999", 400),
        (None, 411),
    ],
)
def test_wrong_lengths_are_refused(server: Server, length: str | None, expected: int) -> None:
    line = b"" if length is None else f"Content-Length: {length}\r\n".encode()
    assert status(raw(server, HEAD + line + b"\r\n[1]")) == expected


@pytest.mark.parametrize(
    "path",
    ["//[", "/?" + "&".join("a=1" for _ in range(99)), "/api/trace?sample=" + "9" * 4000]
    + [
        f"/api/training?index={value}"
        for value in ("", "-1", "1e3", "nan", "٣", ",".join("1" * 300))
    ],
)
def test_absurd_addresses_are_refused(server: Server, path: str) -> None:
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"
    assert status(raw(server, request.encode())) in (400, 404)


def test_an_absurd_origin_is_another_page(server: Server) -> None:
    assert ask(base(server) + "/api/recompute", question(), Origin="http://[")[0] == 403


def test_the_token_is_wanted_before_the_body_is_read(painted_run: Path) -> None:
    with (
        served(painted_run, "0.0.0.0") as server,
        socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5) as viewer,
    ):
        start = time.monotonic()
        viewer.sendall(HEAD + b"Content-Length: 8000000\r\n\r\n")  # and nothing more
        assert status(viewer.recv(65536)) == 403
        assert time.monotonic() - start < 3


def test_connections_are_bounded_and_dawdlers_make_room(server: Server) -> None:
    threads = threading.active_count()
    dawdling = [socket.create_connection(server.server_address[:2]) for _ in range(90)]
    try:
        for each in dawdling:
            each.sendall(b"GET / HT")
        time.sleep(0.2)
        assert threading.active_count() - threads <= connections.CONNECTIONS + 2
        assert ask(base(server) + "/api/overview")[0] == 200
        dawdling[0].settimeout(5)
        assert dawdling[0].recv(99) == b""  # it was the first to be sent away
    finally:
        for each in dawdling:
            each.close()


def test_where_all_are_busy_a_new_one_is_refused() -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    open_ones = Connections(2)
    assert open_ones.admit(pairs[0][0])
    assert open_ones.admit(pairs[1][0])
    for pair in pairs[:2]:
        open_ones.mark(pair[0], waiting=False)
    assert not open_ones.admit(pairs[2][0])
    open_ones.mark(pairs[1][0], waiting=True)
    assert open_ones.admit(pairs[2][0])
    assert pairs[1][1].recv(9) == b""
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_request_that_drips_in_is_given_up(
    painted_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST", 0.5)
    with (
        served(painted_run) as server,
        socket.create_connection(server.server_address[:2], timeout=5) as viewer,
    ):
        start, ended = time.monotonic(), False
        while time.monotonic() - start < 4 and not ended:
            try:
                viewer.sendall(b"G")
                viewer.settimeout(0.1)
                ended = viewer.recv(9) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended


def test_a_taken_port_gives_way_to_the_next(server: Server) -> None:
    taken = server.server_address[1]
    with Server(server.desk, "127.0.0.1", taken, others=20) as other:
        assert taken < other.server_address[1] <= taken + 20
