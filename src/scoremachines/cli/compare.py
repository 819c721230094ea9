"""`scoremachines compare`: one network, several machines, one folder."""

from __future__ import annotations

from collections.abc import Sequence

from scoremachines.experiments.in_folder.compare import compare_in_folder
from scoremachines.experiments.run_settings import CompareSettings

__all__ = ["compare"]


def compare(
    settings: CompareSettings,
    network: str,
    machines: Sequence[str],
    output: str,
    *,
    resume: bool = False,
) -> None:
    """Carry out `compare_in_folder`, and print the table and the path of the page."""
    found, page = compare_in_folder(settings, network, machines, output, resume=resume)
    print(found.table())
    print(f"page: {page}")
