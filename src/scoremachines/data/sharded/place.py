"""Where the files of a set in shards lie: a folder of this machine, or any address of fsspec.

Files behind an address are copied into a local cache when they are first read, each under the
fingerprint of its set; a copy that is not whole never takes its place.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from scoremachines.data.sharded.manifest import MANIFEST, Manifest, StoredFile, checksum
from scoremachines.errors import InputError, one_line
from scoremachines.io.files import atomic_path, is_file, reading

__all__ = ["CACHE", "Place", "is_address"]

CACHE = "SCOREMACHINES_CACHE"
"""Variable of the environment that names the folder for copies of remote files."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""The extra of this package that brings along what a kind of address needs."""


def is_address(source: str) -> bool:
    """Return whether a source is an address such as `s3://bucket/photos.shards`."""
    kind, mark, _ = source.partition("://")
    return bool(mark) and kind.isalnum()


@dataclass(frozen=True)
class Place:
    """The folder of a set in shards.

    Args:
        address: a path, or an address of fsspec.
    """

    address: str

    @property
    def is_local(self) -> bool:
        """Whether its files lie on this machine."""
        return not is_address(self.address)

    def manifest(self) -> Manifest:
        """Return the manifest, as it is now.

        Returns:
            The manifest.

        Raises:
            InputError: there is none, it is damaged, or the address does not answer.
        """
        if self.is_local:
            path = Path(self.address, MANIFEST)
            with reading("source", self.address, "a folder with a manifest"):
                return Manifest.parse(path.read_bytes(), self.address)
        with self._answering() as files:
            return Manifest.parse(files.cat_file(f"{self.address}/{MANIFEST}"), self.address)

    def path(self, file: StoredFile, fingerprint: str) -> Path:
        """Return the path of a file of the length that it should have.

        Args:
            file: the file.
            fingerprint: of the set, which copies of remote files are kept under.

        Returns:
            Its path on this machine.

        Raises:
            InputError: it is missing, of another length, or cannot be fetched.
        """
        if self.is_local:
            path = Path(self.address, file.name)
            self._check_length(path, file)
            return path
        path = self._cache(fingerprint) / file.name
        if not _has_length(path, file):
            self._fetch(file, path)
        return path

    def damaged(self, file: StoredFile, reason: str) -> InputError:
        """Return the error of a file that is not as it was written."""
        accepted = "the shard as it was written; `scoremachines shard --resume` writes it again"
        return InputError("source", f"{self.address}/{file.name}", accepted, reason)

    def _check_length(self, path: Path, file: StoredFile) -> None:
        try:
            length = path.stat().st_size
        except FileNotFoundError:
            raise self.damaged(file, "the file is missing") from None
        except OSError as error:
            raise self.damaged(file, one_line(error)) from error
        if length != file.bytes:
            raise self.damaged(file, f"it has {length} bytes instead of {file.bytes}")

    def _cache(self, fingerprint: str) -> Path:
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "scoremachines")
        key = hashlib.sha256(f"{self.address}\n{fingerprint}".encode()).hexdigest()[:32]
        return Path(os.environ.get(CACHE) or usual, "shards", key)

    def _fetch(self, file: StoredFile, path: Path) -> None:
        """Copy a file into the cache; one process at a time."""
        with reading(CACHE, path.parent, "a folder for copies of remote files"):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{path}.lock")
            lock.acquire()
        try:
            if _has_length(path, file):
                return
            with atomic_path(path) as partial:
                with self._answering() as files:
                    files.get_file(f"{self.address}/{file.name}", str(partial))
                self._check_length(partial, file)
                if checksum(partial) != file.crc32:
                    raise self.damaged(file, "its checksum is another one")
        finally:
            lock.release()

    @contextmanager
    def _answering(self) -> Iterator[Any]:
        """Give the file system of the address; whatever it raises becomes one line."""
        import fsspec

        kind = self.address.partition("://")[0]
        try:
            files, _ = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            extra = EXTRAS.get(kind)
            install = f"pip install 'scoremachines[{extra}]'" if extra else "a kind fsspec knows"
            raise InputError("source", self.address, install, one_line(error)) from error
        try:
            yield files
        except InputError:
            raise
        except Exception as error:
            accepted = "an address that answers with the files of a set in shards"
            raise InputError("source", self.address, accepted, _answer(error)) from error


def _has_length(path: Path, file: StoredFile) -> bool:
    return is_file(CACHE, path) and path.stat().st_size == file.bytes


def _answer(error: Exception) -> str:
    """Return what an object store said, as a phrase."""
    status = getattr(error, "status", None)
    text = one_line(error) or type(error).__name__
    return f"HTTP status {status}: {text}" if status is not None else text
