"""A folder that a command wrote, opened again to be looked at."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import Tensor

from scoremachines.data.open import open_data
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, check_counts, whole
from scoremachines.experiments.compared import COMPARED, open_comparison
from scoremachines.experiments.generate import RECORD, make_machine
from scoremachines.experiments.opening import open_network
from scoremachines.experiments.parts import Part, read_part
from scoremachines.experiments.run_settings import GenerateSettings, memory_bytes
from scoremachines.explore.opened_run import Subject, watch
from scoremachines.explore.playground import attentions
from scoremachines.explore.trace import Course
from scoremachines.io.files import is_file, is_folder, reading
from scoremachines.io.sealed import LEFT
from scoremachines.io.settings_file import read_settings_file
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.named import named_machine
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.runs.record import SETTINGS, changed, recorded, run_key
from scoremachines.sampling.sample import sample_labels
from scoremachines.theory.locality import parse_window
from scoremachines.theory.posterior import Posterior
from scoremachines.theory.specs import KG_MACHINES, title_of

__all__ = ["open_run", "read_settings"]

ACCEPTED = "a folder of `scoremachines generate` or `scoremachines compare`"


def open_run(folder: str | Path, network: str | None = None) -> Subject:
    """Open a run to be explored.

    Args:
        folder: of `scoremachines generate` or `scoremachines compare`.
        network: folder of a network to set beside it; a comparison brings its own.

    Returns:
        The run.

    Raises:
        InputError: there is no run, it is damaged, or no sample of it is finished.
    """
    folder = Path(folder)
    if not is_folder("run", folder):
        raise InputError("run", folder, ACCEPTED, "there is no such folder")
    words = ["scoremachines", "explore", str(folder)]
    command = shlex.join(words if network is None else [*words, "--network", network])
    if is_file("run", folder / "compare.json"):
        return replace(open_comparison(folder, network), command=command)
    if not is_file("run", folder / SETTINGS):
        begun = is_file("run", folder / COMPARED)
        reason = "the comparison is not finished: its command with --resume goes on"
        raise InputError("run", folder, ACCEPTED, reason if begun else f"there is no {SETTINGS}")
    return replace(_Painted(folder, network).subject(), command=command)


def read_settings(folder: Path) -> GenerateSettings:
    """Read the settings of a run.

    Args:
        folder: of `scoremachines generate`.

    Returns:
        The settings.

    Raises:
        InputError: they are damaged, or those of another command.
    """
    with reading("run", folder, ACCEPTED):
        values = read_settings_file("run", folder / SETTINGS, ACCEPTED)
        if "network" in values:
            reason = "it holds a network; open it beside a run, with --network"
            raise InputError("run", folder, ACCEPTED, reason)
        values["label"] = values.pop("class")
        settings = GenerateSettings(**(values | {"shapes": ShapesConfig(**values["shapes"])}))
        _check_kinds(folder, settings)
        return settings


def _check_kinds(folder: Path, settings: GenerateSettings) -> None:
    """Refuse settings that no command line would have let through."""
    hints = get_type_hints(GenerateSettings)
    for each in fields(settings):
        value, hint = getattr(settings, each.name), hints[each.name]
        if not isinstance(value, hint) or isinstance(value, bool):
            raise InputError("run", folder, ACCEPTED, f"{SETTINGS} is damaged at {each.name}")
    check_counts(n=settings.n, steps=settings.steps)
    whole("seed", settings.seed)


class _Painted:
    """A run of `scoremachines generate`."""

    def __init__(self, folder: Path, network: str | None) -> None:
        self.folder = folder
        given, self.record = read_settings(folder), recorded(folder, RECORD)
        name = changed(self.record, given)
        if name is not None and (name != "attention" or given.attention_spec.path is None):
            reason = f"{SETTINGS} has been edited at {name} since the run was painted"
            raise InputError("run", folder, LEFT, reason)
        self.settings = replace(given, device="auto", engine="auto")
        self.notices: list[str] = []
        self.parts = self._read(_parts(folder))
        self.files = watch([folder / SETTINGS, folder / RECORD, *self.parts])
        self.data = self._open_data()
        self.made: dict[str, DenoiserModel] = {}
        self.network = None if network is None else self._open_network(network)

    def subject(self) -> Subject:
        settings = self.settings
        images, posterior = self._samples()
        if len(images) < settings.n:
            text = f"The run is not finished: {len(images)} of {settings.n} samples are there."
            self.notices.append(text)
        labels = None
        if settings.label is not None and self.data is not None:
            labels = sample_labels(self.data, settings.label, settings.n)
        course = Course(
            settings.steps, settings.seed, settings.scheduler, labels, max(1, settings.best)
        )
        reader = self._reader()
        titles = self._titles(reader is not None)
        return Subject(
            title=f"{settings.source} in {self.folder.name}",
            own="run",
            titles=titles,
            course=course,
            stored={"run": images},
            make=self._make,
            beside=self._beside(titles),
            data=self.data if reader is not None else None,
            reader=reader,
            posterior=posterior,
            notices=tuple(self.notices),
            files=self.files,
            settings=(self.folder / SETTINGS).read_text(encoding="utf-8"),
        )

    def _read(self, parts: Mapping[Path, range]) -> dict[Path, Part]:
        """Return the parts by file, up to the first damaged one."""
        found: dict[Path, Part] = {}
        key, images = run_key(self.record), list(self.record["images"])
        for path, batch in parts.items():
            try:
                found[path] = read_part(path, batch, images, key)
            except InputError as error:
                if not found:
                    raise
                self.notices.append(f"Samples from {batch.start} on are not shown. {error}")
                break
        return found

    def _samples(self) -> tuple[Tensor, Posterior | None]:
        images, posteriors, _ = zip(*self.parts.values(), strict=True)
        known = [each for each in posteriors if each is not None]
        merged = Posterior.cat(known) if len(known) == len(posteriors) else None
        return torch.cat(images), merged

    def _open_data(self) -> TrainingSet | None:
        """Return the training set, if it is there and is the one that the run recorded."""
        expected = self.record.get("fingerprint")
        try:
            data = open_data(self.settings)
        except InputError as error:
            self.notices.append(f"The training images cannot be reached: {error}")
            return None
        if data.fingerprint() != expected:
            self.notices.append("The training images have changed since the run was painted.")
            return None
        return data

    def _reader(self) -> ScoreMachine | None:
        if self.data is None:
            text = "Only the finished samples and the numbers of their sources can be shown."
            self.notices.append(text)
            return None
        try:
            machine = make_machine(self.settings, self.data)
        except InputError as error:
            self.notices.append(f"The machine cannot be made again: {error}")
            return None
        self.made["run"] = machine
        if isinstance(machine, ScoreMachine):
            return machine
        window = parse_window(self.settings.window)  # names sources for another denoiser
        return ScoreMachine(self.data, window).to(machine.device)

    def _open_network(self, folder: str) -> DenoiserModel:
        network = open_network(folder)
        if self.data is not None and tuple(network.shape) != tuple(self.data.shape):
            accepted = f"a network for images of {' × '.join(map(str, self.data.shape))}"
            raise InputError("network", folder, accepted)
        return network

    def _titles(self, reachable: bool) -> dict[str, str]:
        settings = self.settings
        own = settings.attention_spec.title.lower()
        if settings.machine != "els":
            own = f"{title_of(settings.machine)}, {own}"
        titles = {"run": f"This run: {own}"}
        if not reachable or self.data is None:
            return titles
        if self.network is not None:
            titles["network"] = title_of("network")
        names = [name for name in attentions(self.data) if name != settings.attention]
        names += [name for name in KG_MACHINES if name != settings.machine]
        return titles | {name: title_of(name) for name in names}

    def _beside(self, titles: Mapping[str, str]) -> str | None:
        wanted = ["network", "tiled" if self.settings.attention == "none" else "none", "els"]
        return next((name for name in wanted if name in titles), None)

    def _make(self, name: str) -> DenoiserModel:
        if name not in self.made:
            self.made[name] = self._new(name)
        return self.made[name]

    def _new(self, name: str) -> DenoiserModel:
        settings, own, data = self.settings, self.made["run"], self.data
        assert data is not None
        if name == "network":
            assert self.network is not None  # its title is known only then
            return self.network.to(own.device)
        options: dict[str, Any] = {"memory": memory_bytes(settings.memory)}
        if name in KG_MACHINES:
            window = parse_window(settings.window)
            return named_machine(name, data, window, **options).to(own.device)
        own = (
            own
            if isinstance(own, ScoreMachine)
            else ScoreMachine(data, parse_window(settings.window))
        )
        options |= {"smooth": own.smooth, "response": own.response}
        return ScoreMachine(data, own.window, own.sources, name, **options).to(own.device)


def _parts(folder: Path) -> dict[Path, range]:
    """Return the files of finished batches and the numbers of their samples, without a gap."""
    found: dict[int, tuple[int, Path]] = {}
    for path in (folder / "parts").glob("*.safetensors"):
        first, _, last = path.stem.partition("-")
        if first.isdigit() and last.isdigit():
            found[int(first)] = (int(last), path)
    parts, start = {}, 0
    while start in found:
        stop, path = found[start]
        parts[path] = range(start, stop)
        if stop <= start:
            break
        start = stop
    if not parts:
        reason = "no sample of it is finished, or its folder `parts` is gone"
        raise InputError("run", folder, ACCEPTED, reason)
    return parts
