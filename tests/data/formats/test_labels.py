"""Labels of every kind, and the names of their classes through wrappers of data sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Dataset, Subset, random_split

import scoremachines as sm
from scoremachines.data import TrainingSet
from scoremachines.data.formats.arrays import from_array
from scoremachines.data.formats.datasets import from_dataset
from scoremachines.errors import InputError

N, H, W = 6, 3, 5
PIXELS = torch.arange(N, dtype=torch.uint8)[:, None, None, None].expand(N, 1, H, W).contiguous()
LABELS = [2, 0, 1, 1, 0, 2]


class Named(Dataset):
    """As torchvision's: pairs, and the names of the classes."""

    def __init__(self, classes: object = ("ant", "bee", "cat"), wrap: object = int) -> None:
        self.classes, self.wrap = classes, wrap

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple:
        return PIXELS[index], self.wrap(LABELS[index])


class ClassLabel:
    """As Hugging Face's `datasets.ClassLabel`, whose `names` are those of the classes."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)


class Columns:
    """As Hugging Face's `datasets.Dataset`: dictionaries, and `features` by their keys."""

    def __init__(self, **labels: ClassLabel) -> None:
        self.features = {"img": object(), **labels}

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> dict:
        image = Image.fromarray(PIXELS[index, 0].numpy())
        return {"img": image} | {key: LABELS[index] for key in self.features if key != "img"}


ANIMALS = ClassLabel("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("dataset", "labels"),
    [
        (Named(), LABELS),
        (Subset(Named(), [5, 1]), [2, 0]),
        (Subset(Subset(Named(), [5, 1, 2]), [2]), [1]),
        (ConcatDataset([Subset(Named(), [0]), Named()]), [2, *LABELS]),
        (Columns(label=ANIMALS), LABELS),
        (Columns(animal=ANIMALS), LABELS),
        (Subset(Columns(labels=ANIMALS), [3]), [1]),
        (
            ConcatDataset([Columns(label=ANIMALS), Subset(Columns(label=ANIMALS), [4])]),
            [*LABELS, 0],
        ),
    ],
)
def test_names_of_classes_are_taken(dataset, labels):
    data = from_dataset(dataset)
    assert data.classes == ("ant", "bee", "cat")
    assert data.labels.tolist() == labels


def test_names_that_cannot_be_taken_are_named():
    parts = ConcatDataset([Named(), Named(classes=("a", "b", "c"))])
    with pytest.warns(UserWarning, match="classes of other names, which are left out"):
        assert from_dataset(parts).classes == ()
    two = Columns(fine=ANIMALS, coarse=ClassLabel("insect", "mammal", "fish"))
    with pytest.warns(UserWarning, match="no labels are taken; left out: coarse, fine"):
        assert from_dataset(two).labels is None
    with pytest.warns(UserWarning, match="labels are taken from coarse; left out: fine"):
        data = from_dataset(two, labels_key="coarse")
    assert data.classes == ("insect", "mammal", "fish")
    with pytest.raises(InputError, match=r"labels_key='rough'.*img, fine, coarse"):
        from_dataset(two, labels_key="rough")
    split, _ = random_split(Named(), [4, 2], torch.Generator().manual_seed(0))
    assert from_dataset(split).classes == ("ant", "bee", "cat")


def test_the_real_library_of_hugging_face():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee", "cat"])}
    )
    images = [Image.fromarray(each[0].numpy()) for each in PIXELS]
    made = datasets.Dataset.from_dict({"image": images, "label": LABELS}, features=features)
    data = from_dataset(Subset(made, range(N)))
    assert (data.classes, data.labels.tolist()) == (("ant", "bee", "cat"), LABELS)
    assert torch.equal(data.pixels, PIXELS)
    with pytest.raises(InputError, match="it is a dictionary"):
        from_dataset(datasets.DatasetDict({"train": made}))


@pytest.mark.parametrize(
    "wrap",
    [
        np.int64,
        np.uint8,
        torch.tensor,
        lambda label: [label],
        lambda label: np.array([label]),
        lambda label: torch.tensor([[label]]),
    ],
)
def test_one_element_is_a_label(wrap):
    assert from_dataset(Named(wrap=wrap)).labels.tolist() == LABELS
    data, two = from_dataset(Named()), wrap(2)
    if isinstance(two, list):
        return
    assert data.label(two) == 2
    assert data.of_class(two).tolist() == [0, 5]
    with pytest.raises(InputError, match="there is no such class"):
        data.label(wrap(3))


def test_label_arrays_may_be_columns():
    for labels in (np.array(LABELS)[:, None], torch.tensor(LABELS).reshape(N, 1, 1)):
        assert from_array(PIXELS, labels).labels.tolist() == LABELS
    with pytest.raises(InputError, match="labels="):
        from_array(PIXELS, np.array(LABELS).reshape(1, N))


def test_samples_take_the_labels_of_any_library():
    data = TrainingSet(PIXELS, torch.tensor(LABELS))
    machine = sm.ScoreMachine(data, 3)
    expected = sm.sample(machine, n=2, steps=2, labels=[2, 0]).images
    for labels in (data.labels[:2], np.array(LABELS[:2]), (np.int64(2), torch.tensor(0))):
        assert torch.equal(sm.sample(machine, n=2, steps=2, labels=labels).images, expected)
    same = sm.sample(machine, n=2, steps=2, labels=2).images
    for label in (np.int64(2), torch.tensor(2)):
        assert torch.equal(sm.sample(machine, n=2, steps=2, labels=label).images, same)
