"""Findings for each module that shows them."""

from __future__ import annotations

import pytest

from scoremachines.experiments.results import Findings
from support.findings import made_findings


@pytest.fixture(scope="module")
def findings() -> Findings:
    return made_findings()
