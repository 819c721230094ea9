"""Folders and zip files: order, classes, channels, size and crop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scoremachines.data import open_source
from scoremachines.data.formats.folder import from_folder
from scoremachines.data.formats.items import spread
from scoremachines.data.formats.pictures import classes_of
from scoremachines.data.formats.zips import from_zip
from scoremachines.errors import InputError
from support.pictures import COLOUR, GREY, H, W, fill, zipped


def test_a_folder_is_read_in_order_of_its_paths(tmp_path):
    fill(tmp_path, ["b.png", "a.bmp", "c.PNG"])
    (tmp_path / "README.txt").write_text("not an image")
    (tmp_path / "png").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("not an image")
    data = from_folder(tmp_path)
    assert data.names == ("a.bmp", "b.png", "c.PNG")
    assert data.pixels.dtype == torch.uint8
    assert torch.equal(data.pixels, torch.from_numpy(COLOUR[[1, 0, 2]]).permute(0, 3, 1, 2))
    assert data.labels is None
    assert data.classes == ()
    assert (data.name, data.location) == (tmp_path.stem, tmp_path)


@pytest.mark.parametrize("prefix", ["", "train/", "a/train/"])
def test_sub_folders_are_classes(tmp_path, prefix):
    names = ["dog/2.png", "cat/1.png", "dog/deep/1.png", "cat/__MACOSX/x.png", ".git/x.png"]
    folder = fill(tmp_path / "set", [prefix + name for name in names])
    direct = from_folder(folder)
    packed = from_zip(zipped(folder, tmp_path / "set.zip"))
    assert direct.classes == packed.classes == ("cat", "dog")
    assert direct.labels.tolist() == packed.labels.tolist() == [0, 1, 1]
    assert direct.names == tuple(prefix + n for n in ("cat/1.png", "dog/2.png", "dog/deep/1.png"))
    assert direct.fingerprint() == packed.fingerprint()
    assert direct.names == packed.names
    assert packed.location == tmp_path / "set.zip"


def test_classes_are_found_in_paths():
    assert classes_of(["a.png", "b.png"]) == ((), None)
    assert classes_of(["x/a.png", "x/b.png"]) == (("x",), [0, 0])
    assert classes_of(["x/y/a.png", "x/z/b.png"]) == (("y", "z"), [0, 1])
    assert classes_of(["x/y/a.png", "z/y/b.png"]) == (("x", "z"), [0, 1])
    with pytest.warns(UserWarning, match="beside sub-folders"):
        assert classes_of(["x/a.png", "b.png"]) == ((), None)
    with pytest.warns(UserWarning, match="beside sub-folders"):
        assert classes_of(["t/x/a.png", "t/b.png", "t/y/c.png"]) == ((), None)


def test_links_to_folders_are_followed_once(tmp_path):
    fill(tmp_path, ["real/a.png"])
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "link").symlink_to(tmp_path / "real")
    for name in ("loop", "another"):
        (tmp_path / "real" / name).symlink_to(tmp_path / "real")
    assert from_folder(tmp_path / "pictures").names == ("link/a.png",)


def test_grey_colour_and_alpha_meet_in_the_richest(tmp_path):
    clear = np.dstack([COLOUR[2], GREY[2] // 2])
    opaque = np.dstack([COLOUR[3], np.full((H, W), 255, np.uint8)])
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    assert from_folder(tmp_path).shape == (1, H, W)
    Image.fromarray(opaque).save(tmp_path / "b.png")
    both = from_folder(tmp_path)
    assert torch.equal(both.pixels[0], torch.from_numpy(GREY[0]).expand(3, H, W))
    assert torch.equal(both.pixels[1], torch.from_numpy(COLOUR[3]).permute(2, 0, 1))
    Image.fromarray(clear).save(tmp_path / "c.png")
    Image.fromarray(GREY[4]).save(tmp_path / "d.png")
    all_four = from_folder(tmp_path)
    assert all_four.shape == (4, H, W)
    assert torch.equal(all_four.pixels[:2, :3], both.pixels)
    assert torch.equal(all_four.pixels[2], torch.from_numpy(clear).permute(2, 0, 1))
    assert torch.equal(all_four.pixels[3, :3], torch.from_numpy(GREY[4]).expand(3, H, W))
    assert all_four.pixels[[0, 1, 3], 3].unique().tolist() == [255]


def test_channels_are_as_given(tmp_path):
    clear = np.zeros((H, W, 4), np.uint8)
    clear[..., 3] = 51
    Image.fromarray(clear).save(tmp_path / "a.png")
    white = from_folder(tmp_path, channels=3)
    assert white.shape == (3, H, W)
    assert white.pixels.unique().tolist() == [204]
    assert from_folder(tmp_path, channels=1).pixels.unique().tolist() == [204]
    assert from_folder(tmp_path, channels=4).pixels[0, :, 0, 0].tolist() == [
        0,
        0,
        0,
        51,
    ]
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    four = from_folder(tmp_path, channels=4).pixels
    assert torch.equal(four[0, 1], torch.from_numpy(GREY[0]))
    assert four[0, 3].unique().tolist() == [255]
    with pytest.raises(InputError, match=r"channels=2 .*1, 3, 4 or None"):
        from_folder(tmp_path, channels=2)


def test_a_limit_is_spread_over_the_classes(tmp_path):
    names = [f"{name}/{number}.png" for name in "abc" for number in range(3)]
    data = from_folder(fill(tmp_path, names), limit=3)
    assert data.names == ("a/0.png", "b/0.png", "c/0.png")
    assert data.labels.tolist() == [0, 1, 2]


@given(st.integers(1, 50), st.integers(1, 60))
def test_a_spread_is_even(length, limit):
    few = spread(range(length), limit)
    assert len(few) == min(length, limit)
    assert len(set(few)) == len(few)
    gaps = {later - sooner for sooner, later in pairwise(few)}
    assert len(gaps) <= 2


@pytest.mark.parametrize("limit", [0, -1, True])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(InputError, match=r"limit=.*at least 1"):
        open_source("digits", limit=limit)


def test_mixed_sizes_need_a_size(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    Image.fromarray(GREY[0].T.copy()).save(tmp_path / "b.png")
    said = r"size=None: 'a.png' has 5x7 pixels and 'b.png' has 7x5. Accepted: .*size=32"
    with pytest.raises(InputError, match=said):
        from_folder(tmp_path)
    assert from_folder(tmp_path, size=4).shape == (1, 4, 4)


def test_centre_keeps_the_middle_and_stretch_keeps_all(tmp_path):
    wide = np.repeat(np.array([[0, 90, 200]], np.uint8), [20, 20, 20], axis=1).repeat(20, axis=0)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    centre = from_folder(tmp_path, size=10).pixels
    assert (centre[0, 0, :, 1:-1].int() - 90).abs().max() <= 2
    stretch = from_folder(tmp_path, size=(4, 3), crop="stretch").pixels
    assert stretch.shape == (1, 1, 4, 3)
    assert (stretch[0, 0].diff(dim=1) > 80).all()


def test_shrinking_averages_instead_of_picking(tmp_path):
    stripes = np.tile(np.array([0, 200], np.uint8), (80, 40))
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = from_folder(tmp_path, size=(8, 10), crop="stretch").pixels
    assert (small - 100.0).abs().max() <= 5


def test_a_large_jpeg_is_shrunk_like_any_picture(tmp_path):
    detail = np.random.default_rng(1).integers(0, 256, (240, 320), dtype=np.uint8)
    for suffix in ("png", "jpg"):
        (tmp_path / suffix).mkdir()
        Image.fromarray(detail).save(tmp_path / suffix / f"a.{suffix}", quality=95)
    exact, fast = (from_folder(tmp_path / s, size=(30, 40)) for s in ("png", "jpg"))
    difference = (exact.pixels.double() - fast.pixels.double()).std()
    assert difference < 0.25 * exact.pixels.double().std()


def test_tiles_are_cut_from_the_top_left(tmp_path):
    fill(tmp_path, ["a/x.png", "b/y.png"])
    data = from_folder(tmp_path, size=(2, 3), crop="tiles")
    assert len(data) == 2 * 2 * 2
    assert data.names[:4] == ("a/x.png@0,0", "a/x.png@0,3", "a/x.png@2,0", "a/x.png@2,3")
    assert data.labels.tolist() == [0] * 4 + [1] * 4
    assert torch.equal(data.pixels[7], torch.from_numpy(COLOUR[1, 2:4, 3:6]).permute(2, 0, 1))
    with pytest.raises(InputError, match=r"size=\(6, 3\): this image has 5x7 pixels: a/x.png"):
        from_folder(tmp_path, size=(6, 3), crop="tiles")
    with pytest.raises(InputError, match="tiles need one"):
        from_folder(tmp_path, crop="tiles")


@pytest.mark.parametrize("size", [0, -3, True, 2.5, (4,), (4, 0), (4, 5, 6), (4, "5")])
def test_an_impossible_size_is_refused(tmp_path, size):
    with pytest.raises(InputError, match=r"size=.*(in whole pixels|a whole number)"):
        from_folder(tmp_path, size=size)


def test_an_unknown_crop_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"crop='middle' is not accepted. Accepted: centre, str"):
        from_folder(tmp_path, size=4, crop="middle")
