"""What a run in a folder was asked to do, kept beside its results so that it can go on or again.

`settings.yaml` is for people and for `--config`; a JSON record holds what must not change when
the run is continued: the settings that decide its result, and the images.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

import scoremachines
from scoremachines.data.settings import DataSettings
from scoremachines.data.source import NAMES
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.files import atomic_path, exists, prepare_folder, reading

__all__ = ["SETTINGS", "begin_run", "recorded"]

SETTINGS = "settings.yaml"


def begin_run(
    folder: str | Path,
    settings: DataSettings,
    data: TrainingSet,
    *,
    record: str,
    free: tuple[str, ...],
    resume: bool,
) -> Path:
    """Make the folder of a run and write down its settings, or find that it may be continued.

    Args:
        folder: made if it is missing; must be empty unless the run is resumed.
        settings: of the run.
        data: its training set.
        record: path of the record within the folder.
        free: settings that may differ when the run is continued.
        resume: go on with the run that the folder holds.

    Returns:
        The folder.

    Raises:
        InputError: the folder cannot be used, or its run has other settings or other images.
    """
    folder = prepare_folder(folder, marker=SETTINGS, resume=resume)
    kept = {"fingerprint": data.fingerprint()} | {
        name: value for name, value in _plain(settings).items() if name not in free
    }
    if exists("output", folder / record):
        _compare(recorded(folder, record), kept)
    with atomic_path(folder / SETTINGS) as path:
        path.write_text(_settings_file(settings, data), encoding="utf-8")
    with reading("output", folder, "a folder to write to"):
        (folder / record).parent.mkdir(exist_ok=True)
    with atomic_path(folder / record) as path:
        path.write_text(json.dumps(kept))
    return folder


def recorded(folder: Path, record: str) -> dict[str, Any]:
    """Return what the record of a run holds: its settings, and the `fingerprint` of the images.

    Args:
        folder: of the run.
        record: path of the record within the folder.

    Returns:
        Values by name.

    Raises:
        InputError: there is no record, or it is damaged.
    """
    with reading("output", folder, "a folder with a run that can be continued"):
        return dict(json.loads((folder / record).read_text()))


def _compare(before: dict[str, Any], kept: dict[str, Any]) -> None:
    """Refuse to continue a run with other settings or other images."""
    accepted = "the settings and images that the run was started with"
    for name, value in kept.items():
        if before.get(name) != value:
            raise InputError(name, value, accepted, f"the run has {before.get(name)!r}")


def _plain(settings: DataSettings) -> dict[str, Any]:
    """Return settings as JSON and YAML know them: tuples are lists."""
    return dict(json.loads(json.dumps(asdict(settings))))


def _settings_file(settings: DataSettings, data: TrainingSet) -> str:
    """Return the settings as YAML that `--config` reads."""
    values = {"class" if name == "label" else name: v for name, v in _plain(settings).items()}
    if settings.source is not None and settings.source not in NAMES:
        values["source"] = str(Path(settings.source).resolve())
    head = (
        f"# scoremachines {scoremachines.__version__}, torch {torch.__version__}\n"
        f"# training set: {data!r}\n"
        f"# sha256 {data.fingerprint()}\n"
    )
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
