"""A small run behind the explorer, for each module that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scoremachines.experiments.opened import open_run
from scoremachines.explore import Server, Service
from support.explorer import served


@pytest.fixture(scope="module")
def server(painted_run: Path) -> Iterator[Server]:
    with served(painted_run) as running:
        yield running


@pytest.fixture(scope="module")
def service(painted_run: Path) -> Service:
    return Service(open_run(painted_run))
