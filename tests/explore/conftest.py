"""A small run behind the explorer, for each module that asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scoremachines.cli.explore import explore
from scoremachines.cli.main import main
from scoremachines.experiments.opened import open_run
from scoremachines.explore import Desk, Server, Service
from support.browser import ARGUMENTS, CHROMIUM, Viewer
from support.explorer import SHAPES, served


@pytest.fixture(scope="module")
def server(painted_run: Path) -> Iterator[Server]:
    with served(painted_run) as running:
        yield running


@pytest.fixture(scope="module")
def service(painted_run: Path) -> Service:
    return Service(open_run(painted_run))


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "soft"
    words = ["train", "shapes", *SHAPES, "--network.attention", "soft", "--network.width", "8"]
    assert main([*words, "--steps", "3", "--batch", "4", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def comparison(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "agreement"
    words = ["compare", str(network), "--machine", "tiled", "--machine", "measured", "-n", "2"]
    assert main([*words, "--steps", "3", "--window", "5", "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    reason = "playwright is not installed"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    server = Server(Desk(lambda: service))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def file(painted_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("static") / "page.html"
    assert explore(str(painted_run), output=str(path), samples=2) == path
    return path.as_uri()


@pytest.fixture
def viewer(browser: Any, address: str) -> Iterator[Viewer]:
    opened = Viewer(browser)
    opened.open(address)
    # It begins with the first sample that the judge knows something of.
    assert opened.text("#sample-number") == "2"
    opened.page.locator("#samples button").first.click()
    opened.settled()
    yield opened
    opened.close(address)
