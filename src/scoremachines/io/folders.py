"""Output folders: made or recognised, locked for the time of a run, freed of leftovers."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from scoremachines.errors import InputError, system_reason
from scoremachines.io.files import (
    atomic_path,
    exists,
    folder_path,
    is_file,
    is_folder,
    is_leftover,
    reading,
)

__all__ = ["output_folder"]

LOCK, HOLDER = ".scoremachines.lock", ".scoremachines.holder"
FOLDER = "a folder to write to"


@contextmanager
def output_folder(path: str | Path, *, marker: str, resume: bool = False) -> Iterator[Path]:
    """Hold an output folder for one run, or refuse one that must not be mixed with a new run.

    The folder is made where it is missing, and locked: the operating system frees the lock when
    the process ends, however it ends. What a killed run left half-written is removed.

    Args:
        path: the folder; its parents are made where they are missing.
        marker: name of a file that every run of this kind writes first, by which an earlier run
            is recognised.
        resume: accept a folder that holds an earlier run. A new or empty folder is always
            accepted.

    Yields:
        The folder, which exists and can be written to.

    Raises:
        InputError: the path is a file, cannot be written to, holds something else, is in use by
            another run, or holds an earlier run and `resume` is False.
    """
    path = folder_path("output", path)
    with reading("output", path, FOLDER):
        path.mkdir(parents=True, exist_ok=True)
    _refuse_strange(path, marker)
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        accepted = "another folder, or to wait until that run has ended"
        raise InputError("output", path, accepted, _held(path)) from None
    except OSError as error:
        raise InputError("output", path, FOLDER, system_reason(error)) from error
    except NotImplementedError as error:
        raise InputError("output", path, FOLDER, "files cannot be locked there") from error
    try:
        _remove_leftovers(path)
        _refuse_strange(path, marker)
        if is_file("output", path / marker) and not resume:
            accepted = "a new or an empty folder, or to resume"
            raise InputError("output", path, accepted, "it holds an earlier run")
        _write_holder(path)
        yield path
    finally:
        with suppress(OSError):
            (path / HOLDER).unlink()
        lock.release()


def _refuse_strange(path: Path, marker: str) -> None:
    """Refuse a folder that holds something, but no run of this kind."""
    ours = is_file("output", path / marker)
    with reading("output", path, FOLDER):
        strange = [each for each in path.iterdir() if not _own(each.name)]
    if strange and not ours:
        raise InputError("output", path, "a new or an empty folder", "it holds something else")


def _own(name: str) -> bool:
    return name in (LOCK, HOLDER) or is_leftover(name)


def _remove_leftovers(path: Path) -> None:
    """Remove what a run that was killed here had not finished writing."""
    with reading("output", path, FOLDER):
        inner = [
            each
            for each in path.iterdir()
            if is_folder("output", each) and not exists("output", each / LOCK)
        ]
        found = [each for place in (path, *inner) for each in place.glob(".*")]
        for each in filter(lambda each: is_leftover(each.name), found):
            if is_folder("output", each) and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink(missing_ok=True)


def _write_holder(path: Path) -> None:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    with atomic_path(path / HOLDER) as partial:
        partial.write_text(json.dumps(holder), encoding="utf-8")


def _held(path: Path) -> str:
    """Return who holds a folder, as a phrase."""
    try:
        holder = json.loads((path / HOLDER).read_text(encoding="utf-8"))
        return (
            f"process {int(holder['pid'])} on {str(holder['host'])[:64]} has been writing to it "
            f"since {str(holder['since'])[:32]}"
        )
    except (OSError, ValueError, TypeError, KeyError):
        return "another process is writing to it"
