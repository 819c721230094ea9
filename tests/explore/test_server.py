"""The server: what it serves, to many viewers at once, and when a run goes away."""

from __future__ import annotations

import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from scoremachines.errors import InputError
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service
from scoremachines.explore.encoding import unpack
from support.explorer import ask, base, question, raw, served, trace_of


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


@pytest.mark.parametrize("harm", ["delete", "truncate", "settings", "parts"])
def test_a_run_that_goes_away_gives_a_page_with_the_reason(
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
