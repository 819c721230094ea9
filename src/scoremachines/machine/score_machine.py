"""The score machine: one formula, three choices (theory §2).

    x̂0(u) = Σ_i w_u(i) m_u(i),    w_u = softmax_i( log p(i) + E_u(i) + Π_u(i) )

The choices are the window (how much a pixel sees), the sources (where its patch may come from) and
the attention (what other places add). KG's machines are five of the combinations (`named`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin as ModelMixin  # pipelines look for it beside the class
from torch import Tensor

from scoremachines.attention import Attention, Maps, make_attention
from scoremachines.data.reduction import Executor, check_executor
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Query, as_engine, engine_spec
from scoremachines.errors import InputError, whole
from scoremachines.io.advice import Advice
from scoremachines.io.files import folder_path, reading
from scoremachines.io.model_folder import local_folder
from scoremachines.io.pictures import figures_html, grid
from scoremachines.machine.denoiser import DenoiserModel, gradients_in
from scoremachines.machine.inputs import check_levels, check_noisy
from scoremachines.machine.pretrained import CHOICES, load_parts, machine_parts, save_parts
from scoremachines.machine.stream import Stream
from scoremachines.theory.locality import (
    Window,
    WindowSchedule,
    check_window,
    parse_window,
    windows_of,
)
from scoremachines.theory.positions import read_sources
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import PREDICTIONS, NoiseSchedule, TableSchedule, noise_schedule
from scoremachines.theory.specs import AttentionSpec, EngineSpec

__all__ = ["ScoreMachine"]

SINGLE = 32.0
"""Samples with values of φ beyond this are computed in float64, to resolve distances."""
Group = tuple[Tensor | slice, int | None, Tensor | None, bool]
"""Samples that are computed together, their window, the images of their class, and whether in
float64."""


class ScoreMachine(DenoiserModel):
    """The MMSE denoiser of a training set under a stated restriction (theory §2).

    It is a `diffusers` model: `forward` follows `UNet2DModel`, so it works in `DDPMPipeline` and
    `DDIMPipeline`, and `save_pretrained` / `from_pretrained` keep it with its training set.

    Args:
        data: the training set.
        window: k, odd, pixels; None for the whole image; a `WindowSchedule` or a mapping
            `{t: k}` for k(t).
        sources: V(u), where a patch may come from (theory §2.2): `"aligned"`, the same place;
            `"valid"`, all inside the training image; `"circular"`, all, the image going on at the
            other side; `"boundary"`, all places with the same overlap with the border.
        attention: a name such as `"tiled"` or `"top1-class:1.3"` (see `AttentionSpec`), a matrix
            `[H·W, H·W]`, a function (φ, t) → matrix, or an `Attention` (theory §4).
        schedule: ᾱ(t), which gives k(t) its t: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        engine: `"auto"`, a key of `scoremachines.engines.ENGINES`, with options as in
            `"adaptive:tolerance=0.001"`, or an `Engine`.
        memory: bytes that the engine may use above the training set.
        executor: what carries passes over the training set out, such as `Processes(2)`; None for
            this process. Gradients are computed in this process. It is not saved.
        prediction_type: what `forward` returns: `"epsilon"`, `"sample"` (x̂0) or `"v_prediction"`.
        alphas_cumprod: ᾱ at the timesteps that `forward` is given; DDPM's 1,000 by default (see
            `match`).

    Raises:
        InputError: a choice that does not exist, does not fit the images, or does not go together
            with another.
    """

    unit: Tensor

    def __init__(
        self,
        data: TrainingSet,
        window: Window | Mapping[float, int] = 7,
        sources: str = "valid",
        attention: str | AttentionSpec | Tensor | Maps | Attention = "none",
        *,
        schedule: str | NoiseSchedule | Sequence[float] = "cosine",
        engine: str | EngineSpec | Engine = "auto",
        memory: int = 2**30,
        executor: Executor | None = None,
        prediction_type: str = "epsilon",
        alphas_cumprod: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.window = parse_window(window)
        self.sources, self.attention = read_sources(sources), make_attention(attention)
        self.schedule = noise_schedule(schedule)
        self.engine, self.executor = as_engine(engine, memory), executor
        self.timesteps = TableSchedule.linear()
        self.data = data
        # Carries the machine's dtype and device; the pixels follow, see `_apply`.
        self.register_buffer("unit", torch.ones((), device=data.pixels.device), persistent=False)
        self._check_choices(prediction_type)
        channels, height, width = data.shape
        self.register_to_config(
            sample_size=[height, width],
            in_channels=channels,
            out_channels=channels,
            window=None if self.window is None else str(self.window),
            sources=self.sources,
            attention=self.attention.name,
            schedule=self.schedule.setting,
            engine=str(engine_spec(self.engine) or self.engine.name),
            memory=getattr(self.engine, "memory", 0) or memory,
            prediction_type=prediction_type,
            alphas_cumprod=None,
        )
        if alphas_cumprod is not None:
            self.match(alphas_cumprod)

    def _check_choices(self, prediction_type: str) -> None:
        if prediction_type not in PREDICTIONS:
            raise InputError("prediction_type", prediction_type, ", ".join(PREDICTIONS))
        check_executor(self.executor)
        if self.window is None and self.sources not in ("aligned", "circular"):
            reason = "the whole image has no other place to go"
            accepted = Advice("aligned or circular with {}", ("window", None))
            raise InputError("sources", self.sources, accepted, reason)
        for window in windows_of(self.window):
            check_window(window, self.data.shape[1:])

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0, the posterior mean (theory §2), with its gradient if φ requires it (§2.8).

        Args:
            noisy: φ, `[B, C, H, W]`, float32 or float64, values within ±1e6, on the machine's
                device.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: restrict the training set to this class, one label or `[B]`.

        Returns:
            `[B, C, H, W]` in [-1, 1], dtype of `noisy`.

        Raises:
            InputError: an argument has the wrong shape, dtype or range.
        """
        return self.posterior(noisy, alpha_bar, labels).mean

    def posterior(
        self,
        noisy: Tensor,
        alpha_bar: Tensor | float,
        labels: Tensor | int | None = None,
        best: int = 0,
    ) -> Posterior:
        """Return mean, evidence and, for `best` = K > 0, the best K sources and the entropy.

        Where `noisy` requires grad, mean and log-weight have a gradient in it (theory §2.8), and
        entropy and sources have none. Second derivatives need the engine `"reference"`.

        Args:
            noisy: as in `denoise`.
            alpha_bar: as in `denoise`.
            labels: as in `denoise`.
            best: K, how many sources to name for every pixel.

        Returns:
            The posterior; its mean is x̂0, `[B, C, H, W]`.

        Raises:
            InputError: an argument has the wrong shape, dtype or range; or `noisy` requires grad,
                and the engine or the attention has no gradient.
        """
        best = whole("best", best)
        query = self._query(noisy, alpha_bar)
        groups = self._groups(query, self._labels(labels, len(noisy)))
        with gradients_in(noisy):
            return self._merged(groups, query, best).to(noisy.dtype)

    def _merged(self, groups: list[Group], query: Query, best: int) -> Posterior:
        """Return the posteriors of samples by window and class, in the samples' order."""
        parts: list[Posterior] = []
        for samples, window, members, far in groups:
            noisy, alphas = query.noisy[samples], query.alpha_bar[samples]
            part = Query(noisy.double() if far else noisy, alphas, window, self.sources)
            stream = Stream(self.data, self.engine, self.attention, members, self.executor)
            parts += stream.posteriors(part, self.schedule.time(alphas), best)
        if len(groups) == 1:
            return Posterior.cat(parts)
        places = [samples for samples, *_ in groups if isinstance(samples, Tensor)]
        order = torch.cat(places).argsort()
        return Posterior.cat(parts).at(order.to(query.noisy.device))

    def _query(self, noisy: Tensor, alpha_bar: Tensor | float) -> Query:
        check_noisy(noisy, self.data.shape, self.data.pixels.device)
        alphas = check_levels(alpha_bar, len(noisy))
        working = noisy if noisy.dtype == torch.float64 else noisy.float()
        return Query(working, alphas, None, self.sources)

    def _labels(self, labels: Tensor | int | None, batch: int) -> list[int | None]:
        """Return the label of every sample; None for all classes."""
        if labels is None:
            return [None] * batch
        if not isinstance(labels, Tensor):
            return [self.data.label(labels)] * batch
        if labels.numel() not in (1, batch):
            raise InputError("labels", labels, f"one label or {batch} labels")
        return [self.data.label(label) for label in labels.reshape(-1).expand(batch).tolist()]

    def _groups(self, query: Query, labels: list[int | None]) -> list[Group]:
        """Return the samples that share window, class and precision; a slice if all do."""
        times = self.schedule.time(query.alpha_bar).tolist()
        far = query.noisy.detach().abs().flatten(1).amax(1) > SINGLE
        keys = list(zip(map(self._window_at, times), labels, far.tolist(), strict=True))
        groups: list[Group] = []
        for key in dict.fromkeys(keys):
            shared = [i for i, other in enumerate(keys) if other == key]
            samples = slice(None) if len(shared) == len(keys) else torch.tensor(shared)
            members = None if key[1] is None else self.data.of_class(key[1])
            groups.append((samples, key[0], members, key[2]))
        return groups

    def _window_at(self, t: float) -> int | None:
        return self.window(t) if isinstance(self.window, WindowSchedule) else self.window

    def save_pretrained(self, save_directory: str | Path, *args: object, **kwargs: object) -> None:
        """Write the machine into a folder, its training set included.

        Args:
            save_directory: the folder; made if it is missing.
            *args: accepted for `diffusers`, which passes formats that do not apply here.
            **kwargs: likewise.

        Raises:
            InputError: attention, engine or schedule are none that a file can hold, or the folder
                cannot be written.
        """
        self.check_caller()
        save_parts(
            self,
            self.data,
            folder_path("save_directory", save_directory),
            machine_parts(self.attention, self.engine),
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> ScoreMachine:
        """Read a machine from a folder that `save_pretrained` wrote.

        Args:
            pretrained_model_name_or_path: the folder; nothing is looked up on a network.
            **kwargs: `subfolder`, and `torch_dtype` for another dtype than it was saved with;
                others that `diffusers` passes do not apply here.

        Returns:
            The machine.

        Raises:
            InputError: no machine is in that folder, one of its settings is missing or unknown,
                or its training set has changed since.
        """
        folder = local_folder("path", pretrained_model_name_or_path, kwargs.get("subfolder"))
        with reading("path", folder, "a folder as save_pretrained wrote it"):
            parts, kept = load_parts(folder, cls.__name__, CHOICES)
            machine = cls(**parts).fit_beside(folder)
        return machine.with_dtype(kwargs.get("torch_dtype") or kwargs.get("dtype") or kept)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ScoreMachine:
        """Let the training set follow `.to()`; in half precision its pixels stay as they are."""
        super()._apply(fn, recurse)  # type: ignore[misc]
        pixels = self.data.pixels
        wanted = fn(pixels[:0])
        dtype = wanted.dtype if wanted.dtype in (torch.float32, torch.float64) else pixels.dtype
        if (wanted.device, dtype) != (pixels.device, pixels.dtype):
            self.data = copy(self.data)
            self.data.pixels = pixels.to(wanted.device, dtype)
        return self

    def _repr_html_(self) -> str:
        """Return its choices and some training images, for notebooks."""
        some = self.data.block(torch.linspace(0, len(self.data) - 1, 16).round().long().unique())
        caption = f"some of its {len(self.data)} training images"
        return figures_html(repr(self), [(caption, grid(some, columns=8))])

    def __repr__(self) -> str:
        window = "image" if self.window is None else self.window
        choices = f"window={window}, sources={self.sources}, attention={self.attention.name}"
        return f"ScoreMachine({self.data!r}, {choices}, engine={self.engine.name})"
