"""Pages of small runs of every kind, hostile names among them."""

from __future__ import annotations

from functools import cache

import torch

import scoremachines as sm
from scoremachines.data.synthetic.judge import Judge
from scoremachines.data.synthetic.shapes import shapes
from scoremachines.data.training_set import TrainingSet
from scoremachines.report import MachineView, Page, Section
from scoremachines.sampling.result import Result
from support.images import noise

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} & ü\u202e'


@cache
def painted(channels: int, best: int = 2) -> Result:
    data = TrainingSet(
        noise(11, channels, 5, 7),
        labels=torch.arange(11) % 3,
        classes=("sky", "sea", HOSTILE),
        names=[f"{HOSTILE} {number}" for number in range(11)],
    )
    return sm.sample(sm.els(data, 3), n=2, steps=2, labels=[0, 2], best=best)


@cache
def judged(shuffled: bool, n: int = 20) -> MachineView:
    data = shapes(size=(15, 13), n=9)
    assert isinstance(data.judge, Judge)
    images = data.judge.shuffled(n=n, seed=3) if shuffled else data.images
    title = "shuffled" if shuffled else "copies"
    return MachineView(title, "Look.", Result(images, data), data.judge(images), 83.4)


def page_of(*machines: MachineView, **fields: str) -> Page:
    return Page("Title", "Lead.", [Section("Section", "Text.", machines)], **fields)


def view(result: Result, title: str = "ELS") -> MachineView:
    return MachineView(title, "A caption.", result)


PAGES = {
    "grey": page_of(view(painted(1))),
    "colour": page_of(view(painted(3)), view(painted(3), "again")),
    "alpha": page_of(*[view(painted(4), str(number)) for number in range(3)]),
    "two channels": page_of(view(painted(2))),
    "many machines": page_of(*[view(painted(1), str(number)) for number in range(4)]),
    "no posterior": page_of(view(painted(1, 0)), view(painted(1))),
    "judged": page_of(judged(True), judged(False), settings="n: 2", command="scoremachines x"),
    "partly judged": page_of(view(judged(True).result), judged(False)),
    "hostile": Page(
        HOSTILE,
        HOSTILE,
        [Section(HOSTILE, HOSTILE, [MachineView(HOSTILE, HOSTILE, painted(3))] * 2)] * 2,
        HOSTILE,
        HOSTILE,
    ),
    "without sections": Page("Title", "Lead.", []),
}
