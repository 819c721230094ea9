"""Settings of a run, kept beside its results so that it can be continued or repeated.

`settings.yaml` is for people and for `--config`; a JSON record holds what must not change when
the run is continued: the settings that decide its result, and the images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from scoremachines._version import __version__
from scoremachines.data.open import NAMES
from scoremachines.data.settings import DataSettings
from scoremachines.data.sharded.place import is_address
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.advice import option_name
from scoremachines.io.files import atomic_path, reading
from scoremachines.io.folders import output_folder
from scoremachines.io.sealed import kept, read_json, write_json

__all__ = ["SETTINGS", "OpenRun", "begin_run", "changed", "recorded", "run_key"]

SETTINGS = "settings.yaml"


@dataclass(frozen=True)
class OpenRun:
    """The folder of a run that is being carried out, locked against others.

    Attributes:
        folder: where its files are.
        key: a hash of all that decides its result, which its parts carry.
    """

    folder: Path
    key: str


@contextmanager
def begin_run(
    folder: str | Path,
    settings: DataSettings,
    data: TrainingSet,
    *,
    record: str,
    free: Collection[str],
    resume: bool,
    decides: Mapping[str, Any] | None = None,
    marker: str = SETTINGS,
) -> Iterator[OpenRun]:
    """Make the folder of a run and write down its settings, or find that it may be continued.

    Args:
        folder: made if it is missing; must be empty unless the run is resumed.
        settings: of the run.
        data: its training set.
        record: path of the record within the folder.
        free: settings that may differ when the run is continued.
        resume: go on with the run that the folder holds.
        decides: what else decides the result, by name, or in place of a setting.
        marker: the file that is written first: `settings.yaml`, or the record where there is no
            such file.

    Yields:
        The run; its folder is locked for the time of the `with`.

    Raises:
        InputError: the folder cannot be used, or its run has other settings or other images.
    """
    with output_folder(folder, marker=marker, resume=resume) as held:
        wanted = {"fingerprint": data.fingerprint(), "images": [len(data), *data.shape]}
        wanted |= {name: v for name, v in _deciding(settings).items() if name not in free}
        wanted |= dict(decides or {})
        before = kept(held / record, lambda: recorded(held, record))
        if before is not None:
            _compare(before, wanted)
        if marker == SETTINGS:
            with atomic_path(held / SETTINGS) as path:
                path.write_text(_settings_file(settings, data), encoding="utf-8")
        with reading("output", held, "a folder to write to"):
            (held / record).parent.mkdir(exist_ok=True)
        write_json(held / record, wanted)
        yield OpenRun(held, run_key(wanted))


def run_key(content: Mapping[str, Any]) -> str:
    """Return a hash of what decides the result of a run, 16 hexadecimal digits.

    Args:
        content: of its record.

    Returns:
        The hash, which each part of the run carries.
    """
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    accepted = "a folder with a run that can be continued"
    return read_json(folder / record, accepted=accepted)


def changed(before: Mapping[str, Any], settings: DataSettings) -> str | None:
    """Return the name of a setting that is not as a record has it.

    Args:
        before: what the record holds.
        settings: those of `settings.yaml`, which may have been edited.

    Returns:
        The first such name; None if all are the same.
    """
    values = _deciding(settings)
    return next((name for name in before if before[name] != values.get(name, before[name])), None)


def _compare(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other settings or other images."""
    accepted = "the settings and images that the run was started with"
    for name, value in wanted.items():
        if before.get(name) != value:
            raise InputError(name, value, accepted, f"the run has {before.get(name)!r}")


def _deciding(settings: DataSettings) -> dict[str, Any]:
    """Return the settings that decide a result; of images in files their fingerprint does."""
    values = _plain(settings)
    if settings.source not in (None, *NAMES):
        del values["source"]
    return values


def _plain(settings: DataSettings) -> dict[str, Any]:
    """Return settings as JSON and YAML know them: tuples are lists."""
    return dict(json.loads(json.dumps(asdict(settings))))


def _settings_file(settings: DataSettings, data: TrainingSet) -> str:
    """Return the settings as YAML that `--config` reads."""
    values = {option_name(name): v for name, v in _plain(settings).items()}
    source = settings.source
    if source is not None and source not in NAMES and not is_address(source):
        values["source"] = str(Path(source).resolve())
    head = (
        f"# scoremachines {__version__}, torch {torch.__version__}\n"
        f"# training set: {data!r}\n"
        f"# sha256 {data.fingerprint()}\n"
    )
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
