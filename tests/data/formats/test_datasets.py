"""Data sets of torch, and whatever behaves like one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from scoremachines.data.formats.datasets import from_dataset
from scoremachines.errors import InputError
from support.pictures import COLOUR, GREY, N


class Items(Dataset):
    def __init__(self, items: list, **attributes: object) -> None:
        self.items = items
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        return self.items[index]


class Stream(IterableDataset):
    def __init__(self, items: list) -> None:
        self.items = items

    def __iter__(self):
        return iter(self.items)


PICTURES = [Image.fromarray(image) for image in COLOUR]
TENSORS = list(torch.from_numpy(COLOUR).permute(0, 3, 1, 2))


@pytest.mark.parametrize("kind", [Items, Stream, list])
@pytest.mark.parametrize("images", [PICTURES, TENSORS, list(COLOUR)])
@pytest.mark.parametrize(
    ("wrap", "labels"),
    [
        (lambda image, label: image, False),
        (lambda image, label: (image,), False),
        (lambda image, label: (image, label), True),
        (lambda image, label: [image, torch.tensor(label), "more"], True),
        (lambda image, label: {"image": image}, False),
        (lambda image, label: {"label": np.int32(label), "img": image}, True),
    ],
)
def test_items_of_every_form_are_read(kind, images, wrap, labels):
    items = [wrap(image, position % 3) for position, image in enumerate(images)]
    data = from_dataset(kind(items))
    assert torch.equal(data.pixels, torch.from_numpy(COLOUR).permute(0, 3, 1, 2))
    assert data.name == kind.__name__
    if labels:
        assert data.labels.tolist() == [position % 3 for position in range(N)]
    else:
        assert data.labels is None


def test_classes_of_a_data_set_name_its_labels():
    items = [(image, position % 2) for position, image in enumerate(PICTURES)]
    assert from_dataset(Items(items, classes=["a", "b"])).classes == ("a", "b")
    assert from_dataset(Items(PICTURES, classes=["a", "b"])).classes == ()


def test_real_tensors_need_limits_unless_signed():
    grey = torch.from_numpy(GREY) / 255
    items = TensorDataset(grey, torch.arange(N))
    with pytest.raises(InputError, match="if 0 is black"):
        from_dataset(items)
    data = from_dataset(items, limits=(0, 1))
    torch.testing.assert_close(data.pixels[:, 0], 2 * grey - 1)
    assert data.labels.tolist() == list(range(N))


def test_pictures_of_mixed_kinds_and_sizes_are_framed():
    items = [Image.fromarray(GREY[0]), Image.fromarray(COLOUR[1].transpose(1, 0, 2).copy())]
    with pytest.raises(InputError, match=r"size=None: '0' has 5x7 pixels and '1' has 7x5"):
        from_dataset(items)
    assert from_dataset(items, size=4).shape == (3, 4, 4)
    tiles = from_dataset(items, size=(2, 3), crop="tiles")
    assert len(tiles) == 4 + 3
    assert tiles.names[-1] == "1@4,0"
    halves = from_dataset([tensor / 127.5 - 1 for tensor in TENSORS], size=(2, 3))
    assert halves.shape == (3, 2, 3)


def test_a_limit_ends_an_endless_stream():
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield TENSORS[0]

    assert len(from_dataset(Endless(), limit=5)) == 5
    assert len(from_dataset(Items(PICTURES), limit=5)) == 5


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (Items([]), "at least one image"),
        (Stream([]), "at least one image"),
        (5, "dataset='int'"),
        ({"train": TENSORS}, r"dataset='dict': it is a dictionary of \['train'\]"),
        (Items({"a": 1, "b": 2}), "dataset='Items': 0. Accepted: items, such as number 0"),
        (Items(["word"]), "image='str'|image='string"),
        (Items([None]), "image="),
        (Items([TENSORS[0], TENSORS[1].permute(0, 2, 1)]), "'0' has 5x7 pixels and '1' has 7x5"),
        (Items([TENSORS[0], TENSORS[1] / 255]), "'0' is uint8 and '1' is float32"),
        (Items([TENSORS[0] / 255, TENSORS[1][:1] / 255]), "'0' has 3 and '1' has 1"),
        (Items([(TENSORS[0], "cat")]), "label='cat'"),
        (Items([(TENSORS[0], 0.5)]), "label=0.5"),
        (Items([(TENSORS[0], 1), TENSORS[1]]), "1 of 2 images have one"),
        (Items([(TENSORS[0], -1)]), "label=-1"),
        (Items([(TENSORS[0], 2)], classes="ab"), "0 to 1: they run from 2|labels="),
        (Items([{"picture": TENSORS[0]}]), "it holds picture"),
        (DataLoader(Items(TENSORS), batch_size=2), r"image=\[2, 3, 5, 7\].*single images"),
    ],
)
def test_data_sets_that_cannot_be_used_are_refused(dataset, why):
    with pytest.raises(InputError, match=why):
        from_dataset(dataset)
