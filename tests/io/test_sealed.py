"""Sealed files: what is written is read, and whatever else is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from scoremachines.errors import InputError
from scoremachines.io.sealed import Spec, kept, read_json, read_tensors, write_json, write_tensors

EXPECTED = {
    "images": Spec((3, 2, None)),
    "source": Spec((3,), torch.int64, 0, 9),
    "weight": Spec((), torch.float64, 0, 1),
    "extra": Spec((2,), torch.bfloat16, required=False),
}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def tensors() -> dict[str, torch.Tensor]:
    return {
        "images": torch.arange(24.0).reshape(4, 3, 2).permute(1, 2, 0),
        "source": torch.tensor([0, 9, 4]),
        "weight": torch.tensor(0.25, dtype=torch.float64),
    }


def test_tensors_come_back_with_their_metadata_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for extra in ({}, {"extra": torch.ones(2, dtype=torch.bfloat16)}):
        write_tensors(path, tensors() | extra, {"run": "a"})
        found = read_tensors(path, EXPECTED, {"run": "a"})
        assert found.keys() == (tensors() | extra).keys()
        assert all(torch.equal(found[name], each) for name, each in tensors().items())
    with pytest.raises(InputError, match="it belongs to another run"):
        read_tensors(path, EXPECTED, {"run": "b"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": torch.zeros(3, 2)}, "images is torch.float32"),
        ({"images": torch.zeros(4, 2, 4)}, "images is torch.float32"),
        ({"images": torch.zeros(3, 2, 4, dtype=torch.float64)}, "images is torch.float64"),
        ({"images": torch.full((3, 2, 4), torch.nan)}, "images has values out of range"),
        ({"images": torch.full((3, 2, 4), -torch.inf)}, "images has values out of range"),
        ({"source": torch.tensor([0, 10, 1])}, "source has values out of range"),
        ({"source": torch.tensor([-1, 0, 1])}, "source has values out of range"),
        ({"weight": torch.tensor(1.5, dtype=torch.float64)}, "weight has values out of range"),
        ({"strange": torch.zeros(1)}, "strange is strange"),
        ({"weight": None}, "weight is missing"),
    ],
)
def test_other_content_is_refused_though_sealed(
    tmp_path: Path, change: dict[str, torch.Tensor | None], reason: str
) -> None:
    path = tmp_path / "a.safetensors"
    changed = {name: each for name, each in (tensors() | change).items() if each is not None}
    write_tensors(path, changed)
    with pytest.raises(InputError, match=reason):
        read_tensors(path, EXPECTED)


def test_an_edit_without_the_checksum_or_with_an_old_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors())
    found = load_file(path)
    save_file(found, path)
    with pytest.raises(InputError, match="it has no checksum"):
        read_tensors(path, EXPECTED)
    save_file(found, path, {"sha256": "0" * 64})
    with pytest.raises(InputError, match="its checksum does not fit"):
        read_tensors(path, EXPECTED)


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, tensors(), {"run": "a"})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 32]) + whole[place + 1 :])
        try:
            found = read_tensors(path, EXPECTED, {"run": "a"})
        except InputError:
            continue
        else:  # a space of the header's padding
            assert all(torch.equal(found[name], each) for name, each in tensors().items())
            assert whole[place] == 32


@settings(max_examples=30)
@given(content=st.dictionaries(st.text().filter(lambda name: name != "sha256"), PLAIN))
def test_json_comes_back(content: dict[str, object], tmp_path_factory: object) -> None:
    path = tmp_path_factory.getbasetemp() / "content.json"  # type: ignore[attr-defined]
    write_json(path, content)
    assert read_json(path) == content


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "1", '{"a": 1}', '{"a": 1, "sha256": 0}', "[" * 10**5, '"\\ud800']
)
def test_json_that_is_not_sealed_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "content.json"
    path.write_text(text)
    with pytest.raises(InputError, match="Accepted: a run's folder as it was left"):
        read_json(path)


def test_edited_json_is_refused_and_another_layout_is_not(tmp_path: Path) -> None:
    path = tmp_path / "content.json"
    write_json(path, {"seconds": 0.1, "names": ["é"]})
    path.write_text(json.dumps(json.loads(path.read_text()), indent=None))
    assert read_json(path) == {"seconds": 0.1, "names": ["é"]}
    path.write_text(path.read_text().replace("0.1", "0.2"))
    with pytest.raises(InputError, match="its checksum does not fit"):
        read_json(path)


def test_what_is_damaged_is_computed_again_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "content.json"
    assert kept(path, lambda: read_json(path)) is None
    assert capsys.readouterr().err == ""
    write_json(path, {"a": 1})
    assert kept(path, lambda: read_json(path)) == {"a": 1}
    path.write_text("{}")
    assert kept(path, lambda: read_json(path)) is None
    assert capsys.readouterr().err == f"note: {path} is computed again: it has no checksum\n"
