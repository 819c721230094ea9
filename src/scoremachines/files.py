"""Files read and written with care: damaged input is refused, output is never half-written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scoremachines.errors import InputError, out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "atomic_path",
    "exists",
    "is_file",
    "is_folder",
    "prepare_folder",
    "reading",
    "write_tensors",
]

WRITABLE = "a place that can be written to and has room"


@contextmanager
def reading(argument: str, value: object, accepted: str) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one clear line.

    Parsers raise nearly any kind of exception on hostile bytes, so all kinds are caught here, and
    only here. Keep the body of the `with` to the parsing itself.

    Args:
        argument: name of the argument that led to the file.
        value: the file as the user would name it.
        accepted: what would be accepted instead.

    Raises:
        InputError: in place of any other exception of the body.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(argument, value, accepted, _reason(error)) from error


def exists(argument: str, path: str | Path) -> bool:
    """Return whether anything lies at a path.

    Args:
        argument: name of the argument that led to the path.
        path: the path.

    Returns:
        Whether there is a file, a folder or anything else; links are followed.

    Raises:
        InputError: that cannot be known: no permission, too long a name, a path that cannot be.
    """
    return _mode(argument, path) != 0


def is_file(argument: str, path: str | Path) -> bool:
    """Return whether a regular file lies at a path.

    Args:
        argument: name of the argument that led to the path.
        path: the path.

    Returns:
        Whether there is one; links are followed.

    Raises:
        InputError: as of `exists`.
    """
    return stat.S_ISREG(_mode(argument, path))


def is_folder(argument: str, path: str | Path) -> bool:
    """Return whether a folder lies at a path.

    Args:
        argument: name of the argument that led to the path.
        path: the path.

    Returns:
        Whether there is one; links are followed.

    Raises:
        InputError: as of `exists`.
    """
    return stat.S_ISDIR(_mode(argument, path))


def _mode(argument: str, path: str | Path) -> int:
    """Return the kind and permissions of what lies at a path; 0 if nothing does."""
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        raise InputError(argument, path, "a path that can be reached", _reason(error)) from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, and move it to `path` once it is whole.

    The temporary file lies in the same folder and has the same suffix. If the body fails, it is
    removed, and an older file at `path` stays as it was.

    Args:
        path: the file to write or to replace.

    Yields:
        The temporary path.

    Raises:
        InputError: if the file cannot be written: no such folder, no permission, a full disk.
    """
    path = Path(path)
    exists("output", path)  # refuses a path that cannot be
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise InputError("output", path, WRITABLE, _reason(error)) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None
) -> None:
    """Write tensors into a `.safetensors` file, all or nothing.

    Args:
        path: the file to write or to replace.
        tensors: by name; no two may share memory.
        about: metadata.

    Raises:
        InputError: if the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic_path(path) as partial:
        try:
            save_file(
                {key: each.cpu().contiguous() for key, each in tensors.items()}, partial, about
            )
        except SafetensorError as error:
            raise OSError(0, str(error)) from error


def prepare_folder(path: str | Path, *, marker: str, resume: bool = False) -> Path:
    """Make an output folder, or refuse one that holds what must not be mixed with a new run.

    Args:
        path: the folder; it and its parents are made where they are missing.
        marker: name of a file that every run of this kind writes first, by which an earlier run
            is recognised.
        resume: accept a folder that holds an earlier run. A new or empty folder is always
            accepted.

    Returns:
        The folder, which exists and can be written to.

    Raises:
        InputError: if the path is a file, cannot be written to, holds something else, or holds an
            earlier run and `resume` is False.
    """
    path = Path(path)
    probe = path / f".{marker}.probe"
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        raise InputError("output", path, "a folder to write to", _reason(error)) from error
    ours = is_file("output", path / marker)
    if occupied and not ours:
        raise InputError("output", path, "a new or an empty folder", "it holds something else")
    if occupied and not resume:
        accepted = "a new or an empty folder, or to resume"
        raise InputError("output", path, accepted, "it holds an earlier run")
    return path


def _reason(error: Exception) -> str:
    """Return what went wrong as a phrase."""
    if out_of_memory(error):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).rstrip(". ") or type(error).__name__
