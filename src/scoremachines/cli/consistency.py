"""`scoremachines consistency`: the paper's experiment, from data to page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scoremachines.experiments.consistency import run
from scoremachines.experiments.run_settings import changed_options
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.io.sealed import read_json
from scoremachines.theory.proportion import Proportion

__all__ = ["consistency", "table"]


def consistency(settings: ConsistencySettings, output: str, *, resume: bool = False) -> Path:
    """Carry out the experiment in a folder, and print how consistent everything is.

    Args:
        settings: of the experiment.
        output: the folder.
        resume: go on with the experiment that the folder holds.

    Returns:
        The page.

    Raises:
        InputError: a setting or the folder cannot be used.
    """
    options = changed_options(asdict(settings), asdict(ConsistencySettings()), "--")
    words = ["scoremachines", "consistency", *options]
    page = run(settings, output, resume=resume, command=shlex.join(words))
    print(table(read_json(page.with_name("findings.json"))))
    print(f"page: {page}")
    return page


def table(findings: Mapping[str, Any]) -> str:
    """Return the rates of networks and machines as lines of text.

    Args:
        findings: as `findings.json` holds them.

    Returns:
        A head, and a line for each network, all its trainings together, and each machine.
    """
    lines = [f"{'':46}{'consistent, of all samples':34}of valid ones"]
    for kind in ("network", "machine"):
        for row in findings[f"{kind}s"]:
            if row["seed"] is None:
                cells = [Proportion(**row[name]) for name in ("consistent", "consistent_of_valid")]
                lines.append(f"{kind + ' ' + row['model']:46}{cells[0]!s:34}{cells[1]}")
    return "\n".join(lines)
