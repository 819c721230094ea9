"""A folder of `scoremachines compare`, opened again: a network beside its machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scoremachines.data.settings import DataSettings
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.experiments import make_machines, network_strength
from scoremachines.experiments.comparison import WITHOUT_ATTENTION
from scoremachines.experiments.opening import network_data, open_network
from scoremachines.explore.opened_run import Subject, watch
from scoremachines.explore.trace import Course
from scoremachines.io.files import reading
from scoremachines.io.sealed import Spec, read_json, read_tensors
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.runs.record import run_key
from scoremachines.theory.locality import parse_window
from scoremachines.theory.specs import MachineSpec, title_of

__all__ = ["COMPARED", "open_comparison"]

COMPARED = "run.json"
"""Record of a comparison, by which its folder is recognised before it is finished."""
ACCEPTED = "a folder of `scoremachines compare`"
FILES = ("compare.json", "images.safetensors")
NETWORK = "network"


def open_comparison(folder: Path, network: str | None = None) -> Subject:
    """Open a comparison to be explored.

    Args:
        folder: of `scoremachines compare`.
        network: where its network lies now; by default where it lay then.

    Returns:
        The run, the network being what painted it.

    Raises:
        InputError: there is no comparison, or it is damaged.
    """
    files = watch([folder / name for name in FILES])
    with reading("run", folder, ACCEPTED):
        content = read_json(folder / FILES[0], argument="run", accepted=ACCEPTED)
        about = dict(content["about"])
        names = [str(row["machine"]) for row in content["rows"]]
        spec = Spec((int(about["n"]), *about["shape"]))
        expected = {NETWORK: spec} | {f"machine {name}": spec for name in names}
        tensors = read_tensors(
            folder / FILES[1], expected, {"run": run_key(about)}, argument="run", accepted=ACCEPTED
        )
        stored = {name: tensors[f"machine {name}"] for name in names}
        stored[NETWORK] = tensors[NETWORK]
        labels = None if about["labels"] is None else torch.tensor(about["labels"])
        course = Course(int(about["steps"]), int(about["seed"]), labels=labels)
        window = parse_window(str(about["window"]))
        place = network or str(about["folder"])
        fingerprint, sources = about["fingerprint"], about.get("sources")
        source = _source(about.get("data"))
    notices: list[str] = []
    if about["network_steps"] != about["steps"]:
        notices.append(
            f"The network took {about['network_steps']} steps in the comparison; here it takes "
            f"as many as the machines, {about['steps']}."
        )
    opened = _opened(place, source, fingerprint, notices)
    made: dict[str, DenoiserModel] = {}

    def make(name: str) -> DenoiserModel:
        assert opened is not None  # without it nothing is computed
        if name not in made:
            named = {NETWORK: opened[0]} if name == NETWORK else None
            strength = network_strength(place)
            made.update(named or make_machines([name], *opened, window, sources, strength))
        return made[name]

    reader = _reader(make, stored) if opened is not None else None
    machines = [name for name in stored if name != NETWORK]
    return Subject(
        title=f"{about['training_set']} in {folder.name}",
        own=NETWORK,
        titles={name: title_of(name) for name in [NETWORK, *machines]},
        course=course,
        stored=stored,
        make=make,
        beside=_beside(machines),
        data=None if opened is None or reader is None else opened[1],
        reader=reader,
        notices=tuple(notices),
        files=files,
        settings=json.dumps(about, indent=1, ensure_ascii=False),
    )


def _source(content: dict[str, Any] | None) -> DataSettings:
    """Return how the images of a comparison were opened."""
    if content is None:
        return DataSettings()
    return DataSettings(**(content | {"shapes": ShapesConfig(**content["shapes"])}))


def _opened(
    place: str, source: DataSettings, fingerprint: Any, notices: list[str]
) -> tuple[DenoiserModel, TrainingSet] | None:
    """Return the network and its images, if both are what they were."""
    try:
        network, data = open_network(place), network_data(place, source)
    except InputError as error:
        notices.append(
            f"The network or its training images cannot be reached, so only finished samples can "
            f"be shown. {error}"
        )
        return None
    if data.fingerprint() != fingerprint:
        notices.append("The training images have changed since the comparison was made.")
        return None
    return network, data


def _reader(make: Any, stored: dict[str, Tensor]) -> ScoreMachine | None:
    """Return the machine that names sources for the network's noisy images."""
    names = [name for name in WITHOUT_ATTENTION if name in stored]
    machine = make(names[0] if names else WITHOUT_ATTENTION[0])
    return machine if isinstance(machine, ScoreMachine) else None


def _beside(machines: list[str]) -> str | None:
    """Return the machine to show first: one with attention, if there is one."""
    specs = {name: MachineSpec.parse(name) for name in machines}
    attentive = [
        name for name, spec in specs.items() if not (spec.is_baseline or spec.without_attention)
    ]
    return next(iter([*attentive, *machines]), None)
