"""The explorer served within the test, and questions to it."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service

SHAPES = ["--shapes.size", "12", "--shapes.feature_size", "3", "--shapes.n", "9"]


def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


@contextmanager
def served(run: Path, host: str = "127.0.0.1", live: int = 200) -> Iterator[Server]:
    server = Server(Desk(lambda: Service(open_run(run), live)), host, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def base(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def ask(url: str, content: object = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Return status, JSON or text, and headers of an answer."""
    data = None
    if content is not None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"} | headers
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, body, found = answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            status, body, found = error.code, error.read(), dict(error.headers)
    text = body.decode()
    return status, json.loads(text) if "json" in found["Content-Type"] else text, found


def raw(server: Server, request: bytes) -> bytes:
    """Return what is answered to the very bytes of a request."""
    with socket.create_connection(server.server_address[:2], timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def trace_of(server: Server, machine: str, sample: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status, answer, _ = ask(f"{base(server)}/api/trace?machine={machine}&sample={sample}")
        assert status == 200, answer
        if answer["ready"]:
            return dict(answer["trace"])
        time.sleep(0.05)
    raise AssertionError("the trace is not done")


def question(**changes: Any) -> dict[str, Any]:
    whole = {
        "image": [0.5] * (3 * 12 * 14),
        "alpha_bar": 0.5,
        "noise": 1,
        "window": "5",
        "sources": "valid",
        "attention": "tiled",
        "label": None,
    }
    return whole | changes
