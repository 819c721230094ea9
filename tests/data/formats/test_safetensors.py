"""Saved training sets come back whole, and other files are refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from scoremachines.data.formats.safetensors import load_training_set, save_training_set
from scoremachines.data.synthetic.shapes import shapes
from scoremachines.errors import InputError
from support.pictures import N, a_set


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_a_saved_set_comes_back_whole(tmp_path, dtype):
    path = tmp_path / "set.safetensors"
    data = a_set(dtype, labels=torch.arange(N) % 2, classes=("ä", "b"), name="nachts")
    save_training_set(data, path)
    again = load_training_set(path)
    assert again.fingerprint() == data.fingerprint()
    assert (again.name, again.classes, again.names) == ("nachts", ("ä", "b"), None)
    assert again.location == path
    assert again.judge is None
    assert [each.name for each in tmp_path.iterdir()] == ["set.safetensors"]


def test_saving_keeps_names_and_copes_with_views(tmp_path):
    path = tmp_path / "set.safetensors"
    names = [f"{position}.png" for position in range(N)]
    few = a_set(names=names).subset(slice(None, None, 2))
    save_training_set(few, path)
    again = load_training_set(path)
    assert again.names == few.names
    assert torch.equal(again.pixels, few.pixels)


def test_a_crafted_set_keeps_its_judge(tmp_path):
    data = shapes(n=4, size=(14, 15), seed=3)
    save_training_set(data, tmp_path / "shapes.safetensors")
    again = load_training_set(tmp_path / "shapes.safetensors")
    assert again.judge.config == data.judge.config
    assert again.judge(again.images).consistent.all()
    assert not again.judge(again.images).novel.any()


def test_another_judge_is_left_out_with_a_warning(tmp_path):
    data = a_set(judge=object())
    with pytest.warns(UserWarning, match="not saved"):
        save_training_set(data, tmp_path / "set.safetensors")
    assert load_training_set(tmp_path / "set.safetensors").judge is None


def test_only_our_own_safetensors_are_loaded(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(InputError, match=r"path=.*no such file"):
        load_training_set(path)
    save_file({"pixels": torch.zeros(2, 1, 3, 4)}, path)
    with pytest.raises(InputError, match="holds something else"):
        load_training_set(path)
    save_file({"pixels": torch.ones(2, 1, 3, 4) * 9}, path, {"scoremachines.TrainingSet": "{}"})
    with pytest.raises(InputError, match="values run from 9 to 9"):
        load_training_set(path)
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        save_training_set(a_set(), tmp_path / "set.npz")


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.lists(st.text())).map(json.dumps))
def test_any_description_in_a_file_is_read_or_refused(tmp_path_factory, about):
    path = tmp_path_factory.mktemp("about") / "set.safetensors"
    pixels = torch.zeros(2, 1, 3, 4)
    save_file({"pixels": pixels}, path, {"scoremachines.TrainingSet": about})
    with suppress(InputError):
        assert torch.equal(load_training_set(path).pixels, pixels)
