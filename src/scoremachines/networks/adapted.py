"""Other people's networks, where a `Network` or a machine can stand (theory §5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scoremachines.attention import Maps
from scoremachines.errors import InputError, whole
from scoremachines.io.model_folder import check_finite
from scoremachines.machine.denoiser import DenoiserModel, gradients_in
from scoremachines.machine.inputs import check_noisy, class_labels, following, noise_levels
from scoremachines.machine.limits import Limits
from scoremachines.machine.schedulers import check_scheduler, prediction_of, settings_of, table_of
from scoremachines.networks.calls import calling, original, prediction
from scoremachines.networks.diffusers_attention import (
    captured_layer,
    captured_map,
    self_attentions,
)
from scoremachines.theory.positions import read_sources
from scoremachines.theory.schedule import (
    PREDICTIONS,
    NoiseSchedule,
    TableSchedule,
    clean_from,
    noise_schedule,
)

__all__ = ["AdaptedNetwork"]

Call = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class AdaptedNetwork(DenoiserModel):
    """A network made elsewhere, with its x̂0 at any ᾱ.

    The module is called as `diffusers` does, `module(φ, timestep)`, with a float32 timestep for
    each image, the place in `alphas_cumprod` where ᾱ lies, between two entries if need be. An ᾱ
    outside of the table counts as its first or last entry. The module is put into evaluation mode.

    Args:
        module: answers with a tensor, a tuple, or an output with a `sample`, `[B, C, H, W]`.
        shape: C, H and W of its images.
        alphas_cumprod: ᾱ at the timesteps that it was trained on, or a scheduler that has them;
            DDPM's 1,000 by default, unless there is a `call`.
        schedule: ᾱ(t), on which it is sampled; the table by default.
        prediction_type: what its answer means: `"epsilon"` (the default), `"sample"`,
            `"v_prediction"` or `"score"`.
        attention: where its maps come from: the dotted name of a `diffusers` self-attention layer,
            or a function of φ `[B, C, H, W]` and ᾱ `[B]`. By default the last self-attention layer
            at the highest resolution; zeros if there is none.
        call: calls the module in another way: a function of φ, ᾱ `[B]` in float64, and the classes
            `[B]` or None.
        receptive_field: what an output pixel sees, odd, pixels; None where it is unknown.
        sources: the kind of sources of the machine whose theory it is: `"boundary"` for zero
            padding, `"valid"` or `"circular"` for circular padding, `"aligned"`.
        classes: number of classes that it takes as `class_labels`; 0 for none.
        whole_steps: pass whole timesteps only, int64.
        scheduler: the `diffusers` scheduler that its owner uses: gives `alphas_cumprod` and
            `prediction_type` where they are not given, and the limits of x̂0.

    Attributes:
        limits: how x̂0 is clipped or thresholded while it is sampled, compared and calibrated.
        scheduler_settings: those that a scheduler named to `sample` takes over.

    Raises:
        InputError: an argument is out of range.
    """

    trained = True

    def __init__(
        self,
        module: nn.Module,
        shape: tuple[int, int, int],
        *,
        alphas_cumprod: Sequence[float] | Tensor | Any = None,
        schedule: str | NoiseSchedule | Sequence[float] | Tensor | None = None,
        prediction_type: str | None = None,
        attention: str | Maps | None = None,
        call: Call | None = None,
        receptive_field: int | None = None,
        sources: str = "boundary",
        classes: int = 0,
        whole_steps: bool = False,
        scheduler: Any = None,
    ) -> None:
        super().__init__()
        if scheduler is not None:
            check_scheduler(scheduler, variance=True)
            alphas_cumprod = scheduler if alphas_cumprod is None else alphas_cumprod
        prediction_type = prediction_type or prediction_of(scheduler) or "epsilon"
        self.limits, self.owner = Limits.of(scheduler), type(scheduler).__name__
        self.scheduler_settings = settings_of(scheduler) or None
        self.variance = str(settings_of(scheduler).get("variance_type")).startswith("learned")
        if self.variance:
            self.scheduler_settings = {**settings_of(scheduler), "variance_type": "fixed_small"}
        _check(module, prediction_type)
        check_finite(module, "module", type(module).__name__)
        shape, classes = _image_shape(shape), whole("classes", classes)
        if receptive_field is not None:
            receptive_field = whole("receptive_field", receptive_field, 1, odd=True)
        self.module, self.call, self.whole_steps = module, call, whole_steps
        self.receptive_field, self.sources = receptive_field, read_sources(sources)
        table = table_of(alphas_cumprod)
        if table is None and call is None:
            table = TableSchedule.linear().alpha_bar(torch.arange(1, 1001) / 1000)
        self.table = None if table is None else TableSchedule(table)
        self.schedule = noise_schedule((self.table or "cosine") if schedule is None else schedule)
        self.timesteps = self.table or TableSchedule.linear()
        self.maps = attention if callable(attention) else None
        self.layers = () if callable(attention) else _layer_names(module, attention)
        self.register_buffer("unit", torch.ones(()), persistent=False)  # dtype and device
        self.register_to_config(
            sample_size=list(shape[1:]),
            in_channels=shape[0],
            out_channels=shape[0],
            prediction_type=prediction_type,
            classes=classes,
            alphas_cumprod=None if table is None else torch.as_tensor(table).tolist(),
        )
        self.eval()

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0.

        Args:
            noisy: φ, `[B, C, H, W]`, on the network's device.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: class, one label or `[B]`; None for none.

        Returns:
            `[B, C, H, W]`, dtype of `noisy`; not clipped to [-1, 1]; with its gradient in φ, if
                `noisy` requires grad.

        Raises:
            InputError: an argument has the wrong shape, dtype or range, or the module answers with
                something else than an image, or without a gradient where one is wanted.
        """
        check_noisy(noisy, self.shape, self.device)
        alphas = noise_levels(alpha_bar, noisy)
        classes = self._class_labels(labels, noisy)
        if self.table is not None:
            step = self.table.step(alphas)
            alphas = self.table.at_step(step).to(noisy.device)
        with gradients_in(noisy):
            with calling(self.module):
                if self.call is not None:
                    output: Any = self.call(noisy.to(self.dtype), alphas, classes)
                else:
                    place = step.round().long() if self.whole_steps else step.float()
                    named = {} if classes is None else {"class_labels": classes}
                    output = self.module(noisy.to(self.dtype), place.to(noisy.device), **named)
            output = prediction(output, noisy, variance=self.variance).to(noisy.dtype)
            return clean_from(self.config["prediction_type"], output, noisy, alphas)

    def attention(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """Return the network's own attention map, to be plugged into a machine (theory §4.2).

        Args:
            noisy: φ, `[B, C, H, W]`.
            time: t in [0, 1] on the network's schedule, one value or `[B]`.

        Returns:
            A, `[B, H·W, H·W]`, rows that add up to 1, the own pixel included; of a coarser layer,
            each cell's weight spread evenly over its pixels. Zeros without attention. With its
            gradient in φ, if `noisy` requires grad.

        Raises:
            InputError: an argument has the wrong shape, dtype or range, or there is no such map.
        """
        check_noisy(noisy, self.shape, self.device)
        alphas = noise_levels(self.schedule.alpha_bar(time), noisy)
        pixels = noisy.shape[-2] * noisy.shape[-1]
        known = (len(noisy), pixels, pixels)
        with gradients_in(noisy):
            if self.maps is not None:
                with calling(self.module):
                    maps = self.maps(noisy, alphas)
                if not isinstance(maps, Tensor) or maps.shape not in (known, known[1:]):
                    given = f"tensor of shape {tuple(getattr(maps, 'shape', ()))}"
                    accepted = f"maps [{pixels}, {pixels}] of each image"
                    raise InputError("attention", given, accepted)
                return maps.expand(known)
            if not self.layers:
                return following(noisy.new_zeros(known), noisy)
            return captured_map(*self._heard(noisy, alphas), self.shape[1:])

    def _heard(self, noisy: Tensor, alphas: Tensor) -> tuple[dict[str, Any], Callable[[], Any]]:
        """Return the layers that maps may be read from, and a call in which they are used."""
        plain: Any = copy(self)
        plain._modules = {**plain._modules, "module": original(self.module)}
        found = self_attentions(original(self.module))
        return {name: found[name] for name in self.layers}, lambda: plain.denoise(noisy, alphas)

    def facts(self) -> dict[str, str]:
        """Return what a report has of the network: how it is read, and where its maps come from.

        Returns:
            Texts by name.
        """
        limits = "as predicted" if self.limits == Limits() else str(self.limits)
        facts = {"prediction type": self.config["prediction_type"], "x̂0 of the network": limits}
        if self.scheduler_settings is not None:
            facts["settings of"] = self.owner
        if self.variance:
            facts["predicted variance"] = "left out"
        if self.maps is not None:
            return facts | {"attention": "a function"}
        noisy = torch.zeros(1, *self.shape, device=self.device, dtype=self.dtype)
        layer = "none"
        if self.layers:
            try:
                layer = captured_layer(*self._heard(noisy, torch.full((1,), 0.5)))[0]
            except InputError:
                layer = "none that can be read"
        return facts | {"attention layer": layer}

    def _class_labels(self, labels: Tensor | int | None, noisy: Tensor) -> Tensor | None:
        """Return the classes to pass on; the module need not know what "any" is."""
        classes = class_labels(labels, self.config["classes"], noisy)
        if classes is not None and bool((classes < 0).any()):
            raise InputError("labels", labels, "classes from 0, or None for none")
        must = getattr(self.module, "class_embedding", None) is not None and self.call is None
        if classes is None and must:
            raise InputError("labels", None, "a class, without which this network has no answer")
        return classes

    def save_pretrained(self, save_directory: str | Path, *args: object, **kwargs: object) -> None:
        """Refuse: the module's own library keeps it, and `adapt` takes it in again.

        Args:
            save_directory: ignored.
            *args: ignored.
            **kwargs: ignored.

        Raises:
            InputError: always.
        """
        name = type(self.module).__name__
        raise InputError("module", name, "a Network; save the module itself, and adapt it again")

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: object
    ) -> AdaptedNetwork:
        """Refuse: `load_diffusers` opens a folder, and `adapt` takes a module in.

        Args:
            pretrained_model_name_or_path: the folder.
            **kwargs: ignored.

        Returns:
            Nothing.

        Raises:
            InputError: always.
        """
        accepted = "a folder given to load_diffusers, or a module given to adapt"
        raise InputError("path", pretrained_model_name_or_path, accepted)


def _check(module: nn.Module, prediction_type: str) -> None:
    """Refuse arguments that are out of range."""
    if not isinstance(module, nn.Module):
        raise InputError("module", module, "a torch.nn.Module")
    if prediction_type not in PREDICTIONS:
        raise InputError("prediction_type", prediction_type, ", ".join(PREDICTIONS))


def _image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return channels, height and width as whole numbers."""
    if not isinstance(shape, tuple | list) or len(shape) != 3:
        raise InputError("shape", shape, "channels, height and width of the images")
    channels, height, width = (whole("shape", side, 1) for side in shape)
    return channels, height, width


def _layer_names(module: nn.Module, attention: str | None) -> tuple[str, ...]:
    """Return the names of the layers that maps may be read from."""
    layers = tuple(self_attentions(original(module)))
    if attention is None:
        return layers
    if attention not in layers:
        accepted = ", ".join(layers) or "None: the module has no diffusers self-attention layer"
        raise InputError("attention", attention, f"a function, or {accepted}")
    return (attention,)
