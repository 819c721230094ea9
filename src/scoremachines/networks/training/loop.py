"""One step after another: what a network learns, from which images, and how fast (theory §5).

The loss is the mean square error of the network's answer, in the form that it gives it:

    L = mean ( v̂(φ, ᾱ) − v )²        φ = √ᾱ x + √(1−ᾱ) ε        v = √ᾱ ε − √(1−ᾱ) x

or with ε or x in place of v. The times of a batch are spread evenly, `t_j = (u + j/B) mod 1`, or,
where the middle counts more, are those quantiles of a logit-normal distribution (Esser et al.
2024): near t = 0 there soon is nothing left to learn, and near t = 1 there is little to see. All
that is random in a step comes from a generator made of (seed, step), so weights, their average,
the optimiser's moments and the step are all that there is to know of a training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, out_of_memory
from scoremachines.io.devices import quick_bfloat16, start_accelerator, threads
from scoremachines.networks.heads import Top1Head
from scoremachines.networks.network import Network
from scoremachines.networks.training.settings import TrainSettings
from scoremachines.sampling.reverse_process import noise_generator
from scoremachines.theory.schedule import predicted

__all__ = ["Progress", "Training", "learning_rate"]

STREAM = 2**32
"""First index of the generators of training; those below belong to samples."""
CLOSEST = 1e-4
"""ᾱ is kept this far from 0 and 1 while training."""
MIDDLE = 0.6
"""Median of logit t where a training draws more times from the middle."""
UNTOLD = 0.1
"""Share of images whose class a conditional network does not get, so that it can do without."""
RECENT = 100
"""Steps that the smoothed loss looks back on."""


@dataclass(frozen=True)
class Progress:
    """How far a training has come.

    Attributes:
        step: steps done.
        loss: mean square error, smoothed over about a hundred steps.
        learning_rate: of the step.
        temperature: of top-1's Gumbel-softmax; None for other attention.
        average: returns a copy of the network with the averaged weights so far.
    """

    step: int
    loss: float
    learning_rate: float
    temperature: float | None
    average: Callable[[], Network] = field(repr=False, compare=False)


class Training:
    """A network in training; `steps` carries on from where it stands.

    Args:
        network: the network, whose weights change.
        data: its training set.
        settings: of the training; `network`, `schedule` and the source are not looked at.
        folder: where TensorBoard's files will go; None for nowhere.

    Attributes:
        step: steps done.
        loss: smoothed loss.
        history: step, smoothed loss and learning rate at every `log_every` steps.

    Raises:
        InputError: network, images and settings do not go together.
    """

    def __init__(
        self,
        network: Network,
        data: TrainingSet,
        settings: TrainSettings,
        folder: Path | None = None,
    ) -> None:
        self.accelerator: Accelerator = start_accelerator(settings.device, folder)
        self.device = self.accelerator.device
        precise = settings.precision
        quick = quick_bfloat16(self.device) if precise == "auto" else precise == "bf16"
        self.precision = torch.autocast(self.device.type, torch.bfloat16, enabled=quick)
        self.data, self.settings = data, settings
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.parameters = list(network.parameters())
        self.optimiser = self.accelerator.prepare(
            torch.optim.AdamW(
                self.parameters,
                lr=settings.learning_rate,
                betas=settings.betas,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        )
        # Its decay is min(ema, (1 + step) / (10 + step)).
        self.ema = EMAModel(self.parameters, settings.ema, foreach=True)
        self.step, self.loss = 0, 0.0
        self.history: list[tuple[int, float, float]] = []

    def steps(self) -> Generator[Progress, None, None]:
        """Carry out the steps that are left.

        Yields:
            Progress after each.

        Raises:
            InputError: the loss is no longer finite, or memory does not suffice; the weights are
                those before the step.
        """
        settings, head = self.settings, self.network.head
        with threads(settings.threads):
            self.network.train()
            while self.step < settings.steps:
                rate = learning_rate(settings, self.step)
                loss = self._attempt(rate)
                self.step += 1
                self.loss += (loss - self.loss) / min(self.step, RECENT)
                if self.step % settings.log_every == 0 or self.step == settings.steps:
                    self.history.append((self.step, self.loss, rate))
                warmth = head.temperature if isinstance(head, Top1Head) else None
                yield Progress(self.step, self.loss, rate, warmth, self.average)

    def average(self) -> Network:
        """Return a copy of the network with averaged weights, ready to be used."""
        self.network.anneal(self.step / self.settings.steps)  # drops the generator
        network = copy.deepcopy(self.network).to(memory_format=torch.contiguous_format)
        self.ema.copy_to(network.parameters())
        return network.eval()

    def check_finite(self) -> None:
        """Refuse weights that are no numbers.

        Raises:
            InputError: some are infinite or undefined.
        """
        if not all(bool(each.isfinite().all()) for each in self.parameters):
            raise self._diverged("weights")

    def _attempt(self, rate: float) -> float:
        """Carry out one step, or refuse for lack of memory."""
        try:
            return self._advance(rate)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            reason = "there is not enough memory for it"
            raise InputError("batch", self.settings.batch, "a smaller one", reason) from error

    def _advance(self, rate: float) -> float:
        """Carry out one step and return its loss."""
        generator = noise_generator(self.settings.seed, STREAM + self.step)
        noisy, alphas, labels, target = self._examples(generator)
        self.network.anneal(self.step / self.settings.steps, generator)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with self.precision:
            output = self.network.predict(noisy, alphas, labels)
        loss = (output.float() - target).square().mean()
        self.accelerator.backward(loss)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged("loss")
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.ema.step(self.parameters)
        return value

    def _examples(
        self, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Draw φ, ᾱ, labels and the target of a step, on the device."""
        settings, data, device = self.settings, self.data, self.device
        count = settings.batch
        start = torch.rand(1, dtype=torch.float64, generator=generator)
        times = spread_times((start + torch.arange(count) / count) % 1, settings.times)
        alphas = self.network.schedule.alpha_bar(times).clamp(CLOSEST, 1 - CLOSEST)
        chosen = torch.randint(len(data), (count,), generator=generator)
        noise = torch.randn((count, *data.shape), generator=generator)
        labels = None
        if self.network.config["classes"] and data.labels is not None:
            untold = torch.rand(count, generator=generator) < UNTOLD
            labels = torch.where(untold, -1, data.labels[chosen]).to(device)
        clean = data.block(chosen, device=device)
        signal = alphas.to(device).float().reshape(-1, 1, 1, 1)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise.to(device)
        target = predicted(self.network.config["prediction_type"], clean, noisy, alphas.to(device))
        return noisy, alphas.to(device), labels, target

    def _diverged(self, what: str) -> InputError:
        reason = f"the {what} stopped being finite after {self.step} steps"
        return InputError("learning_rate", self.settings.learning_rate, "a smaller one", reason)


def spread_times(even: Tensor, kind: str) -> Tensor:
    """Return times at quantiles of the distribution that a training draws them from.

    Args:
        even: quantiles in [0, 1], evenly spaced.
        kind: `"even"` for all times alike; `"middle"` for `t = 1/(1 + exp(−(0.6 + z)))` with z
            standard normal, half of which lie between 0.48 and 0.78, every fourth time excepted:
            those stay even, so that no time is left out.

    Returns:
        t in [0, 1], shaped as `even`.
    """
    if kind == "even":
        return even
    times = torch.sigmoid(MIDDLE + torch.special.ndtri(even.clamp(1e-5, 1 - 1e-5)))
    times[::4] = even[::4]
    return times


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the learning rate of a step.

    `η · min(1, (s+1)/warmup) · (1 + cos(π s/steps))/2`: up in a line, down along a cosine.

    Args:
        settings: of the training.
        step: s, steps done before it.

    Returns:
        The learning rate.
    """
    rise = min(1.0, (step + 1) / max(1, settings.warmup))
    return settings.learning_rate * rise * (1 + math.cos(math.pi * step / settings.steps)) / 2
