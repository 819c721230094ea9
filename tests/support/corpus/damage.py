"""What may happen to a file: each damage takes its bytes and returns other ones."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["damages"]

Damage = Callable[[bytes], bytes]


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _safetensors(header: Any, rest: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


OTHER_KINDS: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\x00",
    "text": b"hello",
    "not UTF-8": b"\xff\xfe\x00\x80" * 9,
    "control characters": b"\x1b[31m\r\n\x00",
    "JSON null": b"null",
    "JSON list": b"[1, 2]",
    "JSON number": b"1e999",
    "JSON text": b'"x"',
    "JSON NaN": b'{"a": NaN}',
    "JSON, deep": b"[" * 100_000,
    "JSON, long number": b"9" * 100_000,
    "YAML object": b"!!python/object/apply:os.getcwd []",
    "YAML loop": b"&a [*a]",
    "YAML, laughing": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)
    ),
    "array of objects": _npy(np.array([{}, None], dtype=object)),
    "array of texts": _npy(np.array(["a", "b"])),
    "array of NaN": _npy(np.full((2, 12, 12), np.nan)),
    "array of no axis": _npy(np.array(3.0)),
    "array of no items": _npy(np.zeros((0, 12, 12))),
    "array of many axes": _npy(np.zeros((1,) * 20)),
    "array of complex numbers": _npy(np.zeros((2, 12, 12), complex)),
    "array header, huge": b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 99,
    "array, promised": _npy(np.zeros((2, 3))).replace(b"(2, 3)", b"(9**9,)")[:90],
    "zip of nothing": _zip({}),
    "zip in a zip": _zip({"a.zip": _zip({"b.zip": b"x"})}),
    "zip with paths": _zip({"../../a.png": b"x", "/etc/b.png": b"y", "c\x1b.png": b"z"}),
    "zip of zeros": _zip({"a.png": bytes(10**6), "a.npy": bytes(10**6)}),
    "tensors of nothing": _safetensors({}),
    "tensors, header of no kind": _safetensors(b"not json"),
    "tensors, header too long": struct.pack("<Q", 2**63) + b"{}",
    "tensors out of bounds": _safetensors(
        {"images": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 10**15]}}
    ),
    "tensors of another name": _safetensors(
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)
    ),
    "gzip of nothing": b"\x1f\x8b\x08\x00" + bytes(9),
    "IDX, promised": struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "PNG, huge": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">2I", 2**31 - 1, 2**31 - 1),
}
"""Files of another kind than the one that is wanted."""


def damages(content: bytes, drawn: random.Random) -> dict[str, bytes]:
    """Return damaged versions of a file.

    Args:
        content: the good file.
        drawn: decides where it is damaged.

    Returns:
        Its damaged versions, by what was done.
    """
    made = dict(OTHER_KINDS)
    size = len(content)
    for share in (0.02, 0.3, 0.9):
        made[f"cut at {share:g}"] = content[: int(size * share)]
    made["cut by one"] = content[:-1]
    made["doubled"] = content * 2
    made["with a tail"] = content + b"\x00" * 64
    for number in range(4):
        place = drawn.randrange(max(1, min(size, 4096 if number % 2 else size)))
        flipped = bytes([content[place] ^ (1 << drawn.randrange(8))]) if size else b""
        made[f"bit {number} flipped"] = content[:place] + flipped + content[place + 1 :]
    start = drawn.randrange(max(1, size))
    made["a stretch of zeros"] = (
        content[:start] + bytes(min(64, size - start)) + content[start + 64 :]
    )
    if content[:1] in (b"{", b"["):
        made |= _json(content, drawn)
    return made


def _json(content: bytes, drawn: random.Random) -> dict[str, bytes]:
    """Return a JSON file with single values of another kind, missing, or too many."""
    made = {}
    wrong: list[Any] = [None, "x", -1, 10**30, float("nan"), [], {}, True, [[1]], "\x1b\n"]
    known = json.loads(content)
    if isinstance(known, dict):
        for key in known:
            value = drawn.choice(wrong)
            made[f"{key}={value!r:.20}"] = json.dumps(known | {key: value}).encode()
            made[f"no {key}"] = json.dumps({k: v for k, v in known.items() if k != key}).encode()
        made["a key more"] = json.dumps(known | {"surprise": 1}).encode()
    return made
