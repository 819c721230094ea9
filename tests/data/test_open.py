"""Sets that come with a dependency, and sources by name or path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scoremachines.data import open_source
from scoremachines.data.bundled import digits, photographs
from scoremachines.data.formats.folder import from_folder
from scoremachines.data.formats.safetensors import save_training_set
from scoremachines.data.synthetic.shapes import shapes
from scoremachines.errors import InputError
from support.pictures import COLOUR, H, W, fill, zipped


def test_digits_are_exact():
    data = digits()
    assert repr(data) == "TrainingSet('digits', N=1797, 1x8x8, float32, 10 classes)"
    assert ((data.pixels + 1) * 8).unique().tolist() == list(range(17))
    assert len(data.of_class("7")) == 179


def test_photographs_are_tiles():
    data = photographs()
    assert repr(data) == "TrainingSet('photographs', N=520, 3x32x32, uint8, 2 classes)"
    assert data.classes == ("china", "flower")
    assert data.names[21] == "china.jpg@32,32"
    assert data.names[int(data.of_class("flower")[0])] == "flower.jpg@0,0"
    assert len(photographs((20, 30), reduce=2)) == 2 * 10 * 10
    for reduce in (0, 1.5, True):
        with pytest.raises(InputError, match="reduce="):
            photographs(reduce=reduce)
    with pytest.raises(InputError, match="427x640"):
        photographs(500)


def test_shapes_refuse_unknown_settings():
    assert shapes(n=3, size=(14, 15)).shape == (3, 14, 15)
    with pytest.raises(InputError, match=r"colour=2: there is no such setting.*size, n"):
        shapes(colour=2)


def test_names_open_their_sets():
    assert open_source("digits", limit=10).shape == (1, 8, 8)
    assert open_source("digits", size=(5, 6), limit=10).shape == (1, 5, 6)
    assert open_source("photographs", size=(16, 20), limit=7).shape == (3, 16, 20)
    shapes = open_source("shapes", size=(14, 15), limit=6)
    assert (len(shapes), shapes.shape) == (6, (3, 14, 15))
    assert shapes.judge(shapes.images).consistent.all()
    with pytest.raises(InputError, match="channels=3: the images of 'digits' have 1"):
        open_source("digits", channels=3)


def test_paths_open_by_kind(tmp_path):
    folder = fill(tmp_path / "set", ["a/1.png", "b/2.png"])
    expected = from_folder(folder)
    save_training_set(expected, tmp_path / "set.safetensors")
    zipped(folder, tmp_path / "set.ZIP")
    np.savez(tmp_path / "set.npz", images=COLOUR[:2], labels=[0, 1])
    for name in ("set", "set.safetensors", "set.ZIP", "set.npz"):
        data = open_source(str(tmp_path / name))
        assert data.fingerprint() == expected.fingerprint()
        assert open_source(tmp_path / name, size=(2, 3), limit=1).pixels.shape == (1, 3, 2, 3)
        assert len(open_source(tmp_path / name, size=(2, 3), crop="tiles", limit=3)) == 3


def test_a_name_wins_over_a_folder_unless_a_path_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path, ["digits/a.png"]).absolute())
    assert open_source("digits", limit=5).shape == (1, 8, 8)
    assert open_source("./digits").shape == (3, H, W)
    assert open_source(Path("digits")).shape == (3, H, W)


def test_an_unknown_source_names_what_is_like_it(tmp_path):
    with pytest.raises(InputError, match=r"source=shapess: nothing is there; did you mean shapes"):
        open_source("shapess")
    fill(tmp_path, ["pictures/a.png"])
    with pytest.raises(InputError, match=r"did you mean .*pictures\?"):
        open_source(tmp_path / "picturs")
    with pytest.raises(InputError, match=r"nothing is there. Accepted: a folder of images"):
        open_source("/missing/entirely")
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(InputError, match="not a training set"):
        open_source(tmp_path / "notes.txt")
