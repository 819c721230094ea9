"""The server: what it serves, to whom, and that it serves nothing else."""

from __future__ import annotations

import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from scoremachines.errors import InputError
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service
from scoremachines.explore.auth import Access, is_loopback
from scoremachines.explore.encoding import unpack
from support.explorer import ask, base, question, raw, served, trace_of

# What is served --------------------------------------------------------------------------------


def test_the_page_and_its_headers(server: Server) -> None:
    status, html, headers = ask(base(server) + "/")
    assert status == 200
    assert html.startswith("<!DOCTYPE html>")
    policy = headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Python" not in headers["Server"]
    assert raw(server, b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n").endswith(b"\r\n\r\n")


def test_overview_and_training_images(server: Server) -> None:
    _, overview, _ = ask(base(server) + "/api/overview")
    assert overview["shape"] == [3, 12, 14]
    assert overview["count"] == 3
    assert unpack(overview["samples"]).shape == (3, 3, 12, 14)
    assert [each["name"] for each in overview["machines"]][:3] == ["run", "identity", "top1"]
    _, some, _ = ask(base(server) + "/api/training?index=3,0")
    assert some["names"] == ["image 3", "image 0"]
    assert unpack(some["images"]).shape == (2, 3, 12, 14)


def test_the_traces_of_two_machines_start_from_the_same_noise(server: Server) -> None:
    own, other = (trace_of(server, name, 1) for name in ("run", "tiled"))
    first = [unpack(each["noisy"])[0] for each in (own, other)]
    assert (first[0] == first[1]).all()
    assert own["steps"] == other["steps"] == 4
    assert own["differs"] is None
    assert own["attended"] is None
    image = torch.tensor(unpack(own["image"])) / 127.5 - 1
    subject = server.desk.service().subject
    assert subject.data is not None
    distances = (subject.data.images - image).square().mean((1, 2, 3)).sqrt()
    told = [each["distance"] for each in own["nearest"]]
    assert told == pytest.approx(distances.sort().values[:3].tolist(), abs=0.01)
    for each in own["nearest"]:
        assert each["distance"] == pytest.approx(float(distances[each["index"]]), abs=0.01)
    assert other["attended"]["even"] == [1 / 25] * 4


def test_a_question_is_answered(server: Server) -> None:
    status, trace, _ = ask(base(server) + "/api/recompute", question())
    assert status == 200
    assert trace["steps"] == 1
    assert trace["windows"] == [5]
    _, again, _ = ask(base(server) + "/api/recompute", question())
    assert again == trace
    _, other, _ = ask(base(server) + "/api/recompute", question(noise=2))
    assert other["noisy"] != trace["noisy"]
    _, of_class, _ = ask(base(server) + "/api/recompute", question(label=1))
    _, labels, _ = ask(base(server) + "/api/training?index=" + ",".join(map(str, range(20))))
    used = set(unpack(of_class["sources"]["image"]).ravel().tolist()) - {-1}
    assert {int(unpack(labels["labels"])[index]) for index in used} == {1}


def test_live_questions_can_use_few_images_and_be_turned_off(painted_run: Path) -> None:
    with served(painted_run, live=3) as few:
        assert ask(base(few) + "/api/overview")[1]["live"]["images"] == 3
        _, trace, _ = ask(base(few) + "/api/recompute", question())
        used = set(unpack(trace["sources"]["image"]).ravel().tolist()) - {-1}
        assert used <= {0, 10, 9, 19}
    with served(painted_run, live=0) as off:
        assert ask(base(off) + "/api/overview")[1]["live"] is None
        assert ask(base(off) + "/api/recompute", question())[0] == 400


# What is refused -------------------------------------------------------------------------------

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
        ("sources", ["inside"]),
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


# Who may ask -----------------------------------------------------------------------------------


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


def test_a_port_in_use_and_bad_addresses_are_refused(server: Server, painted_run: Path) -> None:
    desk = Desk(lambda: Service(open_run(painted_run)))
    for host, port in (
        ("127.0.0.1", server.server_address[1]),
        ("127.0.0.1", 65536),
        ("127.0.0.1", -1),
        ("", 0),
        ("no.such.host.invalid", 0),
    ):
        with pytest.raises(InputError, match="Accepted"):
            Server(desk, host, port)


# Runs that go away -----------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["delete", "truncate", "settings", "parts"])
def test_a_run_that_goes_away_gives_a_page_that_says_so(
    painted_run: Path, tmp_path: Path, harm: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(painted_run, run)
    with served(run) as server:
        assert ask(base(server) + "/")[0] == 200
        part = next((run / "parts").glob("*.safetensors"))
        if harm == "delete":
            shutil.rmtree(run)
        elif harm == "truncate":
            part.write_bytes(part.read_bytes()[:1000])
        elif harm == "settings":
            (run / "settings.yaml").write_text("source: [")
        else:
            shutil.rmtree(run / "parts")
        status, answer, _ = ask(base(server) + "/api/trace?machine=run&sample=0")
        assert status == 410
        assert str(run) in answer["problem"]
        status, html, _ = ask(base(server) + "/")
        assert status == 410
        assert "This cannot be shown" in html
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(painted_run, run)
        assert ask(base(server) + "/")[0] == 200
        assert ask(base(server) + "/api/overview")[0] == 200


def test_a_run_that_is_damaged_from_the_start_gives_a_page_too(
    painted_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(painted_run, run)
    part = next((run / "parts").glob("*.safetensors"))
    part.write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    with served(run) as server:
        status, html, _ = ask(base(server) + "/")
    assert status == 410
    assert "This cannot be shown" in html


# Many viewers ----------------------------------------------------------------------------------


def test_fifty_viewers_at_once(server: Server) -> None:
    def view(number: int) -> list[int]:
        here = base(server)
        statuses = [ask(here + path)[0] for path in ("/", "/api/overview")]
        for machine in ("run", "tiled"):
            trace_of(server, machine, number % 3)
        statuses.append(ask(f"{here}/api/training?index={number % 20}")[0])
        statuses.append(ask(here + "/api/recompute", question(noise=number))[0])
        return statuses

    with ThreadPoolExecutor(50) as viewers:
        answers = list(viewers.map(view, range(50)))
    assert answers == [[200] * 4] * 50


def test_viewers_who_leave_or_dawdle_disturb_nobody(server: Server) -> None:
    lingering = [socket.create_connection(server.server_address[:2]) for _ in range(40)]
    for number, connection in enumerate(lingering):
        connection.sendall(b"GET /api/overview HTTP/1.1\r\nHost: localhost\r\n"[: 5 + number])
    gone = socket.create_connection(server.server_address[:2])
    gone.sendall(b"GET /api/overview HTTP/1.1\r\nHost: localhost\r\n\r\n")
    gone.close()
    assert ask(base(server) + "/api/overview")[0] == 200
    for connection in lingering:
        connection.close()
