"""Processes that carry out passes, begun once for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scoremachines.data.executors.processes import Processes


@pytest.fixture(scope="session")
def executors() -> Iterator[list[Processes]]:
    with Processes(2) as two, Processes(3) as three:
        yield [two, three]
