"""Files read and written with care: damaged input is refused, output is never half-written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scoremachines.errors import InputError, out_of_memory, system_reason

__all__ = [
    "atomic_path",
    "exists",
    "folder_path",
    "is_file",
    "is_folder",
    "is_leftover",
    "partial_path",
    "reading",
]

WRITABLE = "a place that can be written to and has room"
PARTIAL = ".scoremachines-partial"


def folder_path(argument: str, path: str | Path) -> Path:
    """Return where to write a folder.

    Args:
        argument: name of the argument that holds it.
        path: the folder.

    Returns:
        The path.

    Raises:
        InputError: it is an empty text, which `Path` would take for the current folder.
    """
    if not os.fspath(path):
        raise InputError(argument, path, "a folder, such as . for the current one", "it is empty")
    return Path(path)


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
    if not path.name:
        raise InputError("output", path, "the name of a file")
    exists("output", path)  # refuses a path that cannot be
    partial = partial_path(path)
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


def is_leftover(name: str) -> bool:
    """Return whether a file of this name is what `atomic_path` leaves behind if it is killed.

    Args:
        name: of the file, without its folder.

    Returns:
        Whether it is a temporary file of this package.
    """
    return name.startswith(".") and PARTIAL in name


def partial_path(path: Path) -> Path:
    """Return where a file or folder is written before it takes its place beside it.

    Args:
        path: of the file or folder.

    Returns:
        A hidden path in the same folder, with the same suffix.
    """
    stem = path.stem
    if len(os.fsencode(path.name)) + len(PARTIAL) > 250:  # file systems take 255
        stem = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]
    return path.with_name(f".{stem}{PARTIAL}{path.suffix}")


def _reason(error: Exception) -> str:
    """Return what went wrong as a phrase."""
    if out_of_memory(error):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return system_reason(error)
    return str(error).rstrip(". ") or type(error).__name__
