"""A drawn image, denoised by a machine of the user's choice (theory §2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, real, whole
from scoremachines.explore.trace import Trace, look
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.sampling.reverse_process import starting_noise
from scoremachines.theory.locality import Window, check_window, parse_window, windows_of
from scoremachines.theory.positions import SOURCES
from scoremachines.theory.posterior import Posterior, Sources
from scoremachines.theory.specs import AttentionSpec, attention_names

__all__ = ["PAIRS", "Question", "answer", "attentions", "few", "read_question"]

PAIRS = 10**8
"""Pairs of a pixel and a source that one answer may compare: about a second."""
LARGEST = 10.0
"""Values of a noisy image beyond this are refused."""
FIELDS = ("image", "alpha_bar", "noise", "window", "sources", "attention", "label")


@dataclass(frozen=True)
class Question:
    """What the reader wants to know.

    Args:
        image: what was drawn, `[C, H, W]`.
        alpha_bar: ᾱ, between 0 and 1.
        noise: seed of the noise that the image is still to be mixed with; None if it is φ already.
        window: k, pixels; None for the whole image.
        sources: V(u).
        attention: its name.
        label: the class that the training set is restricted to; None for all.
    """

    image: Tensor
    alpha_bar: float
    noise: int | None
    window: Window
    sources: str
    attention: str
    label: int | None

    @property
    def noisy(self) -> Tensor:
        """φ, `[C, H, W]`: the image, or `√ᾱ x + √(1−ᾱ) ε` with the noise of that seed."""
        if self.noise is None:
            return self.image
        epsilon = starting_noise(self.noise, range(1), tuple(self.image.shape))[0]
        return self.alpha_bar**0.5 * self.image + (1 - self.alpha_bar) ** 0.5 * epsilon


def attentions(data: TrainingSet) -> list[str]:
    """Return the names of the attentions that a training set allows."""
    classes = data.labels is not None
    return [
        name
        for name in attention_names()
        if classes or not AttentionSpec.parse(name).needs_classes
    ]


def few(data: TrainingSet, most: int) -> Tensor:
    """Return places of at most so many images, evenly spread, and of few enough pairs.

    Args:
        data: the training set.
        most: how many images at most.

    Returns:
        Places in the training set, rising, int64.
    """
    pixels = data.shape[1] * data.shape[2]
    count = max(1, min(len(data), most, PAIRS // pixels**2))
    return torch.linspace(0, len(data) - 1, count, dtype=torch.float64).round().long()


def read_question(content: Any, data: TrainingSet) -> Question:
    """Check a request of the page.

    Args:
        content: the request, as JSON: the fields of a `Question`, the image as a list.
        data: the training set that it is about.

    Returns:
        The question.

    Raises:
        InputError: a field is missing, of the wrong kind or out of range.
    """
    if not isinstance(content, Mapping) or set(content) != set(FIELDS):
        raise InputError("request", content, f"an object with {', '.join(FIELDS)}")
    level = real("alpha_bar", content["alpha_bar"], 0, 1)
    if level in (0, 1):
        raise InputError("alpha_bar", level, "a number between 0 and 1")
    noise = content["noise"]
    if noise is not None:
        noise = whole("noise", noise, 0, 2**31 - 1)
    choices = {"sources": SOURCES, "attention": attentions(data)}
    for name, accepted in choices.items():
        if content[name] not in accepted:
            raise InputError(name, content[name], ", ".join(accepted))
    label = content["label"]
    if label is not None:
        label = data.label(whole("label", label))
    return Question(
        image=_image(content["image"], data.shape),
        alpha_bar=level,
        noise=noise,
        window=_window(content["window"], data),
        sources=content["sources"],
        attention=content["attention"],
        label=label,
    )


def _image(values: Any, shape: tuple[int, int, int]) -> Tensor:
    size = math.prod(shape)
    accepted = f"a list of {size} numbers from {-LARGEST:g} to {LARGEST:g}"
    if not isinstance(values, list) or len(values) != size:
        given = f"{len(values)} values" if isinstance(values, list) else values
        raise InputError("image", given, accepted)
    if not all(type(value) in (int, float) and abs(value) <= LARGEST for value in values):
        raise InputError("image", "a list", accepted, "a value is none of these")
    return torch.tensor(values, dtype=torch.float32).view(shape)


def _window(window: Any, data: TrainingSet) -> Window:
    if not isinstance(window, str) or len(window) > 400:
        raise InputError("window", window, "a text such as '7', 'image' or '0:3,1:7'")
    parsed = parse_window(window)
    for each in windows_of(parsed):
        check_window(each, data.shape[1:])
    return parsed


def answer(
    question: Question, data: TrainingSet, places: Tensor, like: ScoreMachine, best: int
) -> Trace:
    """Evaluate the machine that a request names.

    Args:
        question: the question.
        data: the training set.
        places: which of its images to use, int64.
        like: a machine, for the schedule and the memory.
        best: how many sources to name.

    Returns:
        One step; its sources are places in the whole training set.

    Raises:
        InputError: the choices do not go together.
    """
    machine = ScoreMachine(
        data.subset(places),
        question.window,
        question.sources,
        question.attention,
        schedule=like.schedule,
        memory=like.config["memory"],
    )
    trace = look(machine, question.noisy, question.alpha_bar, question.label, best)
    posterior = trace.posterior
    assert posterior is not None
    assert posterior.sources is not None
    known = posterior.sources
    image = torch.where(known.image >= 0, places[known.image.clamp(min=0)], -1)
    sources = Sources(known.log_weight, image, known.position)
    whole = Posterior(posterior.log_weight, posterior.mean, posterior.entropy, sources)
    return Trace(**(vars(trace) | {"posterior": whole}))
