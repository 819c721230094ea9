"""A network of the theory's shape: a local trunk, attention on top, a readout (theory §5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ModelMixin as ModelMixin  # pipelines look for it beside the class
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.functional import relu

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.machine.denoiser import DenoiserModel, gradients_in
from scoremachines.machine.inputs import check_noisy, class_labels, following, noise_levels
from scoremachines.networks.heads import Head, Top1Head, make_head
from scoremachines.networks.kg import KGResNet, KGUNet
from scoremachines.networks.settings import PADDINGS, WHOLE, NetworkSettings, read_scales
from scoremachines.networks.trunks import ConvTrunk, NoiseLevel
from scoremachines.theory.schedule import TableSchedule, clean_from, noise_schedule

__all__ = ["Network"]

Trunk = ConvTrunk | KGResNet | KGUNet
LEVEL_WIDTH = 64


class Network(DenoiserModel):
    """A score network: trunk of stated receptive field, final attention layer, 1×1 readout.

        h = trunk(φ, ᾱ)        a(u) = Σ_{y≠u} A_uy V h(y)        v̂(u) = readout(h(u), a(u), ᾱ)

    It is a `diffusers` model, so `save_pretrained` and `from_pretrained` keep it as safetensors,
    and `scoremachines.sample` samples it as it does a machine.

    Args:
        sample_size: height and width of the images, pixels.
        in_channels: C.
        trunk: `"cnn"`, `"kg-resnet"` or `"kg-unet"`.
        attention: `"none"`, `"soft"`, `"top1"`, `"identity"` or `"multiscale"`.
        padding: `"zeros"` or `"circular"`.
        width: channels of the trunk.
        receptive_field: of the trunk `"cnn"`, odd, pixels.
        pointwise: 1×1 blocks of the trunk `"cnn"`.
        key_width: d, numbers in a query, key or value.
        scales: of multi-scale attention, such as `"1,2,4"`.
        prediction_type: what the readout means: `"v_prediction"`, `"epsilon"` or `"sample"`.
        classes: number of classes of a conditional network; 0 for none.
        schedule: ᾱ(t), a name or a table.
        alphas_cumprod: ᾱ at the timesteps that `forward` is given; DDPM's 1,000 by default.

    Raises:
        InputError: a setting is out of range.
    """

    trained = True

    @register_to_config
    def __init__(
        self,
        sample_size: Sequence[int],
        in_channels: int = 3,
        trunk: str = "cnn",
        attention: str = "none",
        padding: str = "zeros",
        width: int = 64,
        receptive_field: int = 7,
        pointwise: int = 2,
        key_width: int = 64,
        scales: str = "1,2,4",
        prediction_type: str = "v_prediction",
        classes: int = 0,
        schedule: str | Sequence[float] = "cosine",
        alphas_cumprod: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        size, in_channels, classes = _check_images(sample_size, in_channels, classes)
        settings = NetworkSettings(
            trunk,
            attention,
            padding,
            width,
            receptive_field,
            pointwise,
            key_width,
            scales,
            prediction_type,
            bool(classes),
        )
        _check_size(settings, size)
        self.level = NoiseLevel(LEVEL_WIDTH, classes)
        self.body: Trunk = _make_trunk(settings, in_channels)
        self.head: Head = make_head(settings, self.body.width)
        width = self.body.width + self.head.message_width
        self.mix = nn.Conv2d(width, 2 * self.body.width, 1)
        self.mix_level = nn.Linear(LEVEL_WIDTH, 2 * self.body.width)
        self.readout = nn.Conv2d(2 * self.body.width, in_channels, 1)
        for parameter in self.readout.parameters():
            nn.init.zeros_(parameter)
        self.schedule = noise_schedule(schedule)
        self.register_to_config(
            sample_size=size,
            in_channels=in_channels,
            classes=classes,
            schedule=self.schedule.setting,
            **{name: getattr(settings, name) for name in WHOLE},
        )
        self.timesteps = TableSchedule.linear()
        if alphas_cumprod is not None:
            self.match(alphas_cumprod)

    @classmethod
    def for_data(cls, data: TrainingSet, settings: NetworkSettings, **options: Any) -> Network:
        """Return an untrained network for the images of a training set.

        Args:
            data: the training set.
            settings: its shape.
            **options: `schedule` and `alphas_cumprod`.

        Returns:
            The network.

        Raises:
            InputError: it is conditional on classes that the set does not have.
        """
        channels, *size = data.shape
        classes = 0
        if settings.conditional:
            if data.labels is None:
                reason = f"{data.name!r} has no classes"
                raise InputError("conditional", True, "a training set with labels", reason)
            classes = int(data.labels.max()) + 1
        shape = {
            name: getattr(settings, name)
            for name in NetworkSettings.__dataclass_fields__
            if name != "conditional"
        }
        return cls(size, channels, classes=classes, **shape, **options)

    @property
    def receptive_field(self) -> int:
        """What an output pixel sees through the trunk, pixels a side."""
        return self.body.receptive_field

    @property
    def sources(self) -> str:
        """The kind of sources of the machine whose theory this network is (theory §5)."""
        return PADDINGS[self.config["padding"]]

    def predict(self, noisy: Tensor, alpha_bar: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return what the network is trained on, in the form that `prediction_type` names.

        Args:
            noisy: φ, `[B, C, H, W]`.
            alpha_bar: ᾱ, `[B]`.
            labels: class of each, int64 `[B]`, −1 for any; None for any.

        Returns:
            `[B, C, H, W]`.
        """
        level = self.level(alpha_bar.to(noisy.device), labels)
        features = self.body(noisy, level)
        joined = torch.cat([features, self.head(features)], 1)
        mixed = self.mix(relu(joined)) + self.mix_level(level)[:, :, None, None]
        return self.readout(relu(mixed))

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0.

        Args:
            noisy: φ, `[B, C, H, W]`, on the network's device.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: class, one label or `[B]`; None for any.

        Returns:
            `[B, C, H, W]`, dtype of `noisy`; not clipped to [-1, 1]; with its gradient in φ, if
                `noisy` requires grad.

        Raises:
            InputError: an argument has the wrong shape, dtype or range.
        """
        check_noisy(noisy, self.shape, self.device)
        alphas = noise_levels(alpha_bar, noisy)
        classes = class_labels(labels, self.config["classes"], noisy)
        with gradients_in(noisy), self._settled():
            output = self.predict(noisy.to(self.dtype), alphas, classes).to(noisy.dtype)
            return clean_from(self.config["prediction_type"], output, noisy, alphas)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Let the final layer choose as in use, where top-1 draws while it trains."""
        training = self.head.training
        self.head.train(False)
        try:
            yield
        finally:
            self.head.train(training)

    def attention(self, noisy: Tensor, time: Tensor | float) -> Tensor:
        """Return the network's own attention map, to be plugged into a machine (theory §4.2).

        Args:
            noisy: φ, `[B, C, H, W]`.
            time: t in [0, 1] on the network's schedule, one value or `[B]`.

        Returns:
            A, `[B, H·W, H·W]`: row u holds what pixel u attends to; zeros without attention. Its
                gradient in φ comes along if `noisy` requires grad; that of top-1 is 0.

        Raises:
            InputError: an argument has the wrong shape, dtype or range.
        """
        check_noisy(noisy, self.shape, self.device)
        alphas = noise_levels(self.schedule.alpha_bar(time), noisy)
        with gradients_in(noisy):
            features = self.body(noisy.to(self.dtype), self.level(alphas, None))
            return following(self.head.maps(features), noisy)

    def anneal(self, progress: float, generator: torch.Generator | None = None) -> None:
        """Prepare the final layer for a point of training.

        Args:
            progress: from 0 to 1; lowers the temperature of top-1.
            generator: what top-1 draws its Gumbel noise from, on the CPU.
        """
        if isinstance(self.head, Top1Head):
            self.head.anneal(progress)
            self.head.generator = generator


def _make_trunk(settings: NetworkSettings, channels: int) -> Trunk:
    if settings.trunk == "kg-resnet":
        return KGResNet(channels, settings.width, settings.padding, LEVEL_WIDTH)
    if settings.trunk == "kg-unet":
        return KGUNet(channels, settings.width, settings.padding, LEVEL_WIDTH)
    return ConvTrunk(
        channels,
        settings.width,
        settings.receptive_field,
        settings.padding,
        LEVEL_WIDTH,
        settings.pointwise,
    )


def _check_images(
    sample_size: Sequence[int], channels: int, classes: int
) -> tuple[list[int], int, int]:
    """Return size, number of channels and number of classes as whole numbers."""
    if not isinstance(sample_size, list | tuple) or len(sample_size) != 2:
        raise InputError("sample_size", sample_size, "height and width, such as [16, 16]")
    size = [whole("sample_size", side, 1) for side in sample_size]
    return size, whole("in_channels", channels, 1), whole("classes", classes)


def _check_size(settings: NetworkSettings, sample_size: Sequence[int]) -> None:
    """Refuse images that the trunk cannot halve twice, or that leave attention nothing to see."""
    if settings.trunk == "kg-unet" and any(side % 4 for side in sample_size):
        accepted = "sides that are multiples of 4 pixels, for kg-unet"
        raise InputError("sample_size", sample_size, accepted)
    multiscale = settings.attention == "multiscale"
    finest = read_scales(settings.scales)[0] if multiscale else 1
    if settings.attention != "none" and max(sample_size) <= finest:
        reason = "there is no other pixel or cell to attend to"
        accepted = f"a side of more than {finest} pixels, or attention none"
        raise InputError("sample_size", sample_size, accepted, reason)
