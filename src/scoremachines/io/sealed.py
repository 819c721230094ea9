"""Sealed files: tensors and JSON with a SHA-256 of their content, verified whenever they are read.

The checksum covers names, types, shapes and bytes of all tensors and the metadata beside them, or
all values of a JSON file. A file that was cut, edited or exchanged is refused in one line; where
its content can be computed again, `kept` returns None and prints a note.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path, exists, reading

__all__ = [
    "LEFT",
    "Spec",
    "kept",
    "load_tensors",
    "read_json",
    "read_tensors",
    "tensor_digest",
    "write_json",
    "write_tensors",
]

SEAL = "sha256"
LEFT = "a run's folder as it was left"
Content = TypeVar("Content")


@dataclass(frozen=True)
class Spec:
    """What a tensor read from a file must be.

    Args:
        shape: its sizes; None for any.
        dtype: its type.
        low: smallest value accepted; by default any finite one.
        high: largest value accepted; by default any finite one.
        required: whether it must be there.
    """

    shape: tuple[int | None, ...]
    dtype: torch.dtype = torch.float32
    low: float | None = None
    high: float | None = None
    required: bool = True

    def check(self, name: str, tensor: Tensor) -> None:
        """Refuse a tensor of another shape or type, or with values out of range.

        Args:
            name: of the tensor, for the error.
            tensor: the tensor.

        Raises:
            ValueError: naming it and what is wrong.
        """
        fits = len(tensor.shape) == len(self.shape) and all(
            wanted in (None, size) for wanted, size in zip(self.shape, tensor.shape, strict=True)
        )
        if not fits or tensor.dtype != self.dtype:
            raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}")
        if tensor.numel() == 0:
            return
        low = torch.finfo(tensor.dtype).min if self.low is None and _real(tensor) else self.low
        high = torch.finfo(tensor.dtype).max if self.high is None and _real(tensor) else self.high
        least, most = (each.item() for each in tensor.aminmax())  # NaN if there is any
        within = (low is None or least >= low) and (high is None or most <= high)
        if not within or math.isnan(least):
            raise ValueError(f"{name} has values out of range")


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None
) -> None:
    """Write tensors into a `.safetensors` file with their checksum, all or nothing.

    Args:
        path: the file to write or to replace.
        tensors: by name; no two may share memory.
        about: metadata.

    Raises:
        InputError: the file cannot be written.
    """
    ready = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    about = dict(about or {})
    with atomic_path(path) as partial:
        try:
            save_file(ready, partial, about | {SEAL: tensor_digest(ready, about)})
            _sort_metadata(partial)
        except SafetensorError as error:
            raise OSError(0, str(error)) from error


def load_tensors(
    path: str | Path, *, sealed: bool = True
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file of tensors and verify its checksum.

    Args:
        path: the file.
        sealed: refuse a file without a checksum; else such a file of other software is accepted.

    Returns:
        Tensors by name, and the metadata without the checksum.

    Raises:
        ValueError: the content is not what the checksum was made of; a damaged header raises
            what safetensors raises.
    """
    Path(path).open("rb").close()  # the system's own words if it cannot be opened
    with safe_open(path, framework="pt") as file:
        about = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    seal = about.pop(SEAL, None)
    if seal is None and sealed:
        raise ValueError("it has no checksum")
    if seal is not None and seal != tensor_digest(tensors, about):
        raise ValueError("its checksum does not fit its content")
    return tensors, about


def read_tensors(
    path: str | Path,
    expected: Mapping[str, Spec],
    about: Mapping[str, str] | None = None,
    *,
    argument: str = "output",
    accepted: str = LEFT,
) -> dict[str, Tensor]:
    """Read what `write_tensors` wrote, and verify checksum, metadata, shapes, types and ranges.

    Args:
        path: the file.
        expected: what each tensor must be, by name; others are refused.
        about: metadata that it must have, such as which run it belongs to.
        argument: name of the argument that led to the file, for the error.
        accepted: what would be accepted instead.

    Returns:
        The tensors.

    Raises:
        InputError: the file is missing, damaged, or of something else.
    """
    with reading(argument, path, accepted):
        tensors, found = load_tensors(path)
        for name, value in (about or {}).items():
            if found.get(name) != value:
                raise ValueError("it belongs to another run")
        for name in tensors.keys() | {each for each, spec in expected.items() if spec.required}:
            if name not in tensors or name not in expected:
                raise ValueError(f"{name} is {'strange' if name in tensors else 'missing'}")
            expected[name].check(name, tensors[name])
    return tensors


def write_json(path: str | Path, content: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write values as JSON with their checksum, all or nothing.

    Args:
        path: the file to write or to replace.
        content: texts, finite numbers, lists and dictionaries by name.
        indent: of the file's lines; None for a single line.

    Raises:
        InputError: the file cannot be written.
    """
    plain = json.loads(json.dumps(content, allow_nan=False))
    # In ASCII: file names may hold halves of surrogates, which UTF-8 has no bytes for.
    text = json.dumps(plain | {SEAL: _json_digest(plain)}, indent=indent)
    with atomic_path(path) as partial:
        partial.write_text(text + "\n", encoding="ascii")


def read_json(
    path: str | Path, *, argument: str = "output", accepted: str = LEFT
) -> dict[str, Any]:
    """Read what `write_json` wrote, and verify its checksum.

    Args:
        path: the file.
        argument: name of the argument that led to the file, for the error.
        accepted: what would be accepted instead.

    Returns:
        The values by name.

    Raises:
        InputError: the file is missing or damaged.
    """
    with reading(argument, path, accepted):
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, dict) or SEAL not in content:
            raise ValueError("it has no checksum")
        if content.pop(SEAL) != _json_digest(content):
            raise ValueError("its checksum does not fit its content")
    return content


def kept(path: Path, read: Callable[[], Content]) -> Content | None:
    """Return what a run has kept in a file; None where it is to be computed again.

    Args:
        path: the file.
        read: reads and verifies it.

    Returns:
        The content; None if the file is missing or, with a note on stderr, damaged.
    """
    if not exists("output", path):
        return None
    try:
        return read()
    except InputError as error:
        tqdm.write(f"note: {path} is computed again: {error.reason}", file=sys.stderr)
        return None


def _real(tensor: Tensor) -> bool:
    return tensor.is_floating_point()


def tensor_digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """Return the checksum of tensors and metadata.

    Args:
        tensors: by name.
        about: metadata.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(sorted(about.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        )
    return digest.hexdigest()


def _sort_metadata(path: Path) -> None:
    """Order a file's metadata, so that the same content makes the same bytes."""
    with path.open("rb+") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:
            file.seek(8)
            file.write(text.ljust(length))


def _json_digest(content: Mapping[str, Any]) -> str:
    """Return the checksum of plain values, whatever the layout of their file."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
