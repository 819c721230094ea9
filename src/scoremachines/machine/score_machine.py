"""The score machine: one formula, three choices (theory §2).

    x̂0(u) = Σ_i w_u(i) m_u(i),    w_u = softmax_i( log p(i) + E_u(i) + Π_u(i) )

The choices are the window (how much a pixel sees), the sources (where its patch may come from) and
the attention (what other places add). KG's machines are five of the combinations (`named`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin as ModelMixin  # pipelines look for it beside the class
from torch import Tensor

from scoremachines.attention import Attention, Maps, make_attention
from scoremachines.data.reduction import Executor
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Query, as_engine, engine_spec
from scoremachines.errors import whole
from scoremachines.io.files import folder_path, reading
from scoremachines.io.model_folder import local_folder
from scoremachines.io.pictures import figures_html, grid
from scoremachines.machine.choices import check_choices
from scoremachines.machine.covariance import smooth_of
from scoremachines.machine.denoiser import DenoiserModel, gradients_in
from scoremachines.machine.inputs import check_levels, check_noisy
from scoremachines.machine.pretrained import CHOICES, load_parts, machine_parts, save_parts
from scoremachines.machine.response import composed, seeing
from scoremachines.machine.samples import Group, classes, grouped, pixel_numbers
from scoremachines.machine.stream import Stream
from scoremachines.theory.locality import Window, parse_window, window_at
from scoremachines.theory.positions import read_sources
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import NoiseSchedule, TableSchedule, noise_schedule
from scoremachines.theory.specs import AttentionSpec, EngineSpec
from scoremachines.theory.specs.machine import COMPOSED
from scoremachines.theory.specs.width import Smoothness, parse_smooth

__all__ = ["ScoreMachine"]


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
        smooth: h, the width of sources (theory §2.9): from 0, the training patches themselves, to
            1, the local Wiener filter; or h(t), a `SmoothSchedule` or a mapping `{t: h}`.
        response: what a window answers with: its `"centre"`, or its whole patch, `"composed"` with
            all that overlap (theory §2.10).
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
        smooth: Smoothness | str | Mapping[float, float] = 0.0,
        response: str = "centre",
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
        self.smooth, self.response = parse_smooth(smooth), response
        self.schedule = noise_schedule(schedule)
        self.engine, self.executor = as_engine(engine, memory), executor
        self.timesteps, self.data = TableSchedule.linear(), data
        # Carries the machine's dtype and device; the pixels follow, see `_apply`.
        self.register_buffer("unit", torch.ones((), device=data.pixels.device), persistent=False)
        check_choices(self, prediction_type)
        channels, height, width = data.shape
        self.register_to_config(
            sample_size=[height, width],
            in_channels=channels,
            out_channels=channels,
            window=None if self.window is None else str(self.window),
            sources=self.sources,
            attention=self.attention.name,
            smooth=str(self.smooth),
            response=self.response,
            schedule=self.schedule.setting,
            engine=str(engine_spec(self.engine) or self.engine.name),
            memory=getattr(self.engine, "memory", 0) or memory,
            prediction_type=prediction_type,
            alphas_cumprod=None,
        )
        if alphas_cumprod is not None:
            self.match(alphas_cumprod)

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
            `[B, C, H, W]`, for h = 0 in [-1, 1], dtype of `noisy`.

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
        pixels: Tensor | None = None,
    ) -> Posterior:
        """Return mean, evidence and, for `best` = K > 0, the best K sources and the entropy.

        Where `noisy` requires grad, mean and log-weight have a gradient in it (theory §2.8), and
        entropy and sources have none. Second derivatives need the engine `"reference"`.

        Args:
            noisy: as in `denoise`.
            alpha_bar: as in `denoise`.
            labels: as in `denoise`.
            best: K, how many sources to name for every pixel.
            pixels: numbers u of the pixels whose answers are wanted, int64; None for all. What
                is returned for others means nothing, and may save time.

        Returns:
            The posterior; its mean is x̂0, `[B, C, H, W]`.

        Raises:
            InputError: an argument has the wrong shape, dtype or range; or `noisy` requires grad,
                and the engine or the attention has no gradient.
        """
        best = whole("best", best)
        check_noisy(noisy, self.data.shape, self.data.pixels.device)
        alphas = check_levels(alpha_bar, len(noisy))
        working = noisy if noisy.dtype == torch.float64 else noisy.float()
        wanted = pixel_numbers(pixels, noisy[0, 0].numel())
        alone = wanted if self.attention.name == "none" else None  # others read all evidence
        query = Query(working, alphas, None, self.sources, pixels=alone)
        times = self.schedule.time(query.alpha_bar).tolist()
        labelled = classes(self.data, labels, len(noisy))
        groups = grouped(query, times, labelled, self.window, self.smooth)
        with gradients_in(noisy):
            return self._merged(groups, query, best).to(noisy.dtype)

    def _merged(self, groups: list[Group], query: Query, best: int) -> Posterior:
        """Return the posteriors of samples by window and class, in the samples' order."""
        parts: list[Posterior] = []
        for each in groups:
            noisy, alphas = query.noisy[each.samples], query.alpha_bar[each.samples]
            part = self.query(noisy.double() if each.double else noisy, alphas)
            seen = query.pixels
            if part.patches:
                seen = seeing(seen, part.window, self.shape[1:])
            part = replace(part, pixels=seen)
            members = None if each.label is None else self.data.of_class(each.label)
            stream = Stream(self.data, self.engine, self.attention, members, self.executor)
            found = stream.posteriors(part, self.schedule.time(alphas), best)
            parts += [composed(each, part) for each in found]
        if len(groups) == 1:
            return Posterior.cat(parts)
        places = [each.samples for each in groups if isinstance(each.samples, Tensor)]
        order = torch.cat(places).argsort()
        return Posterior.cat(parts).at(order.to(query.noisy.device))

    def query(self, noisy: Tensor, alpha_bar: Tensor) -> Query:
        """Return what an engine is asked about noisy images that share window and width.

        Args:
            noisy: φ, `[B, C, H, W]`.
            alpha_bar: ᾱ of each, float64 `[B]`; the first one's t decides k(t) and h(t).

        Returns:
            The query.

        Raises:
            InputError: an argument has the wrong shape, dtype or range.
        """
        check_noisy(noisy, self.data.shape, self.data.pixels.device)
        alpha_bar = check_levels(alpha_bar, len(noisy))
        time = float(self.schedule.time(alpha_bar[:1]))
        window = window_at(self.window, time)
        whole = self.response == COMPOSED
        about = self.data, self.smooth, time, window, self.sources, self.executor
        smooth = smooth_of(*about, always=whole)
        return Query(noisy, alpha_bar, window, self.sources, smooth, patches=whole)

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
        choices += f", smooth={self.smooth}" if self.smooth != 0 else ""
        choices += f", response={self.response}" if self.response == COMPOSED else ""
        return f"ScoreMachine({self.data!r}, {choices}, engine={self.engine.name})"
