"""The interface of machines and networks: x̂0, score, noise, velocity (theory §1).

A `DenoiserModel` gives x̂0 at a noise level ᾱ. Score, ε and v follow from it, and so does
the interface of a `diffusers` model, so all of them go where a `UNet2DModel` goes: into pipelines,
schedulers, and into `scoremachines.sample`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor, nn

from scoremachines.errors import InputError
from scoremachines.io.files import folder_path, reading
from scoremachines.io.model_folder import (
    check_finite,
    check_keys,
    check_loading,
    local_folder,
    read_config,
)
from scoremachines.machine.output import DenoiserOutput
from scoremachines.machine.schedulers import (
    calling_scheduler,
    check_scheduler,
    fits,
    in_pipeline,
    make_scheduler,
    prediction_of,
    scheduler_beside,
    table_of,
    warn_unfit,
)
from scoremachines.theory.schedule import NoiseSchedule, TableSchedule, predicted

__all__ = ["DenoiserModel", "check_fixed", "gradients_in"]


def gradients_in(noisy: Tensor) -> torch.set_grad_enabled:
    """Return a context in which a graph is kept if φ requires grad, and for nothing else.

    Args:
        noisy: φ.

    Returns:
        The context.
    """
    wanted = isinstance(noisy, Tensor) and noisy.requires_grad
    return torch.set_grad_enabled(torch.is_grad_enabled() and wanted)


def check_fixed(alpha_bar: Tensor | float) -> None:
    """Refuse noise levels that require grad.

    Args:
        alpha_bar: ᾱ.

    Raises:
        InputError: it requires grad.
    """
    if isinstance(alpha_bar, Tensor) and alpha_bar.requires_grad and torch.is_grad_enabled():
        reason = "x̂0 has a gradient in φ only"
        raise InputError("alpha_bar", "values that require grad", "values that do not", reason)


class DenoiserModel(ModelMixin, ConfigMixin):
    """A `diffusers` model of x̂0, `ε̂ = (φ − √ᾱ x̂0)/√(1−ᾱ)` and `s = −ε̂/√(1−ᾱ)` (theory §1.1).

    A subclass sets `schedule` and `timesteps`, and registers `prediction_type` and
    `alphas_cumprod` among its settings. Where φ requires grad, all answers have a gradient in it.

    Attributes:
        schedule: ᾱ(t) on which it is sampled.
        timesteps: ᾱ at the timesteps that `forward` is given.
        trained: whether `prediction_type` is what a network was trained on, and not to be changed.
        form: what `forward` of such a network returns, if a scheduler decides it.
    """

    config_name = "config.json"  # type: ignore[assignment]
    schedule: NoiseSchedule
    timesteps: TableSchedule
    trained = False
    form: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        height, width = self.config["sample_size"]
        return self.config["in_channels"], height, width

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> DenoiserModel:
        """Read a model from a folder that `save_pretrained` wrote.

        Args:
            pretrained_model_name_or_path: the folder; nothing is looked up on a network.
            **kwargs: as `diffusers` takes them.

        Returns:
            The model, in evaluation mode.

        Raises:
            InputError: no such model is in that folder, or a setting or a weight is missing,
                unknown or not finite.
        """
        folder = local_folder("path", pretrained_model_name_or_path, kwargs.pop("subfolder", None))
        return cls.opened(folder, "path", **kwargs).fit_beside(folder)

    @classmethod
    def opened(cls, folder: Path, argument: str, **kwargs: Any) -> Any:
        """Read a model from a folder, naming the argument that led there in every error.

        Args:
            folder: the folder.
            argument: name of the argument.
            **kwargs: as `diffusers` takes them.

        Returns:
            The model, in evaluation mode.

        Raises:
            InputError: as in `from_pretrained`.
        """
        settings = read_config(folder, cls.__name__, argument)
        check_keys(folder, settings, {*cls._get_init_keys(cls)} - {"self"}, argument)
        kwargs |= {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
        with reading(argument, folder, f"a folder that {cls.__name__}.save_pretrained wrote"):
            model, found = super().from_pretrained(str(folder), **kwargs)
            check_loading(folder, found, argument)
        check_finite(model, argument, folder)
        return model

    def with_dtype(self, dtype: object) -> Any:
        """Return the model in a dtype; in its own if that is none, such as `"auto"`."""
        known = isinstance(dtype, torch.dtype) and dtype != self.dtype
        return self.to(dtype) if known else self

    def denoise(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return x̂0.

        Args:
            noisy: φ, `[B, C, H, W]`, on the model's device.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: class, one label or `[B]`; None for any.

        Returns:
            `[B, C, H, W]`.
        """
        raise TypeError(f"{type(self).__name__} does not define what it returns")

    def score(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return the score `(√ᾱ x̂0 − φ)/(1−ᾱ)` (theory §1); arguments as in `denoise`."""
        return predicted("score", self.denoise(noisy, alpha_bar, labels), noisy, alpha_bar)

    def epsilon(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return the noise `(φ − √ᾱ x̂0)/√(1−ᾱ)` (theory §1); arguments as in `denoise`."""
        return predicted("epsilon", self.denoise(noisy, alpha_bar, labels), noisy, alpha_bar)

    def match(self, scheduler: object) -> Any:
        """Make `forward` count timesteps, and answer, as a `diffusers` scheduler expects.

        A timestep is a number; which noise level it stands for is the scheduler's choice. A model
        that was not matched reads timesteps as DDPM's default scheduler does.

        Args:
            scheduler: of `diffusers`, or anything with `alphas_cumprod`, or the table itself.

        Returns:
            The model itself.

        Raises:
            InputError: no table of ᾱ, or settings under which no model can be sampled.
        """
        check_scheduler(scheduler)
        kind = prediction_of(scheduler)
        self.timesteps = TableSchedule(table_of(scheduler))
        self.register_to_config(alphas_cumprod=self.timesteps.setting)
        if kind is not None and self.trained:
            self.form = kind
        elif kind is not None:
            self.register_to_config(prediction_type=kind)
        return self

    def pipeline(self, scheduler: Any = None) -> Any:
        """Return a `diffusers` pipeline around the model, which is matched to its scheduler.

        Args:
            scheduler: of `diffusers`, or its name: `DDIMScheduler`, `DDPMScheduler`, or another
                that `DDPMPipeline` can run; by default `DDIMScheduler()`.

        Returns:
            `DDIMPipeline` for a `DDIMScheduler`, else `DDPMPipeline`.

        Raises:
            InputError: the scheduler is none that these pipelines can run; `scoremachines.sample`
                takes more of them.
        """
        from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline

        if scheduler is None or isinstance(scheduler, str):
            scheduler = make_scheduler(scheduler or "DDIM")
        check_scheduler(scheduler)
        if not in_pipeline(scheduler):
            accepted = "one that DDIMPipeline or DDPMPipeline can run, such as DDIMScheduler"
            reason = "give it to scoremachines.sample(model, scheduler=...)"
            raise InputError("scheduler", type(scheduler).__name__, accepted, reason)
        kind = DDIMPipeline if isinstance(scheduler, DDIMScheduler) else DDPMPipeline
        return kind(unet=self.match(scheduler), scheduler=scheduler)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        class_labels: Tensor | None = None,
        return_dict: bool = True,
    ) -> DenoiserOutput | tuple[Tensor]:
        """Predict as a `diffusers.UNet2DModel` does.

        Args:
            sample: φ, `[B, C, H, W]`.
            timestep: place in the table `alphas_cumprod`, which may lie between two entries, one
                value or `[B]`.
            class_labels: one label or `[B]`.
            return_dict: wrap the prediction in `DenoiserOutput`, else in a tuple.

        Returns:
            The prediction, `[B, C, H, W]`, in the form that `prediction_type` names.

        Raises:
            InputError: a timestep is not in the table, or the pipeline that calls has a scheduler
                under which no model can be sampled.
        """
        check_scheduler(calling_scheduler(self))
        self.check_caller()
        kind = self._answers()
        alpha_bar = self.timesteps.at_step(timestep)
        clean = self.denoise(sample, alpha_bar, class_labels)
        output = predicted(kind, clean, sample, alpha_bar)
        return DenoiserOutput(sample=output) if return_dict else (output,)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Write the model into a folder, as `diffusers` does.

        Args:
            save_directory: the folder; made if it is missing.
            *args: as `diffusers` takes them.
            **kwargs: likewise.

        Raises:
            InputError: a weight is not finite, or the folder cannot be written.
        """
        self.check_caller()
        check_finite(cast(nn.Module, self), "model", type(self).__name__)
        save_directory = folder_path("save_directory", save_directory)
        with reading("path", save_directory, "a folder that can be written"):
            super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]

    def check_caller(self) -> None:
        """Warn if a `diffusers` pipeline is among the callers whose scheduler does not fit."""
        warn_unfit(calling_scheduler(self), self.timesteps, self._answers())

    def facts(self) -> dict[str, str]:
        """Return the facts of a report on how the model is read, by name."""
        return {"prediction type": self.config["prediction_type"]}

    def fit_beside(self, folder: Path) -> Any:
        """Match the model to the scheduler of the pipeline that it is read from, if it is in one.

        Args:
            folder: that the model was read from.

        Returns:
            The model itself.
        """
        scheduler = scheduler_beside(folder)
        problem = "" if scheduler is None else fits(scheduler, self.timesteps, self._answers())
        with suppress(InputError):  # a scheduler with which nothing can be sampled, refused later
            if problem:
                self.match(scheduler)
        return self

    def _answers(self) -> str:
        """Return what `forward` returns."""
        return self.form or self.config["prediction_type"]
