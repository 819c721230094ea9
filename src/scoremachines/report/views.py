"""Contents of a page: machines, side by side in sections (theory §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoremachines.data.synthetic.judge import Verdicts
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.sampling.result import Result

__all__ = ["MachineView", "Page", "Section"]


@dataclass(frozen=True)
class MachineView:
    """One machine's samples.

    Args:
        title: names the machine, such as "ELS, no attention".
        caption: one sentence of what to look at.
        result: the samples and their provenance, or the first ones; a posterior of fewer samples
            than there are images is that of the first.
        verdicts: the judgements of the training set's judge on all of them, if it has one.
        seconds: how long the samples took.
        count: number of all samples; None if the result holds them all.

    Raises:
        InputError: if the verdicts are of another number of images.
    """

    title: str
    caption: str
    result: Result
    verdicts: Verdicts | None = None
    seconds: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.verdicts is not None and len(self.verdicts.valid) != self.samples:
            expected = f"{self.samples} verdicts, one for each sample"
            raise InputError("verdicts", f"{len(self.verdicts.valid)} verdicts", expected)

    @property
    def samples(self) -> int:
        """Number of all samples."""
        return len(self.result.images) if self.count is None else self.count


@dataclass(frozen=True)
class Section:
    """Machines on one training set, started from the same noise.

    Args:
        title: a headline.
        text: one or two sentences.
        machines: at least one; sample i of each started from the same noise.

    Raises:
        InputError: if there is no machine.
    """

    title: str
    text: str
    machines: Sequence[MachineView]

    def __post_init__(self) -> None:
        if not self.machines:
            raise InputError("machines", self.machines, "at least one machine")

    @property
    def data(self) -> TrainingSet:
        """The training set of all machines."""
        return self.machines[0].result.data


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        title: the headline.
        lead: one or two sentences: what the page shows.
        sections: from top to bottom.
        settings: the run's settings as YAML.
        command: the line that runs it again.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    settings: str = ""
    command: str = ""
