"""Kinds of copies: placements, and that each kind is found with its parameters and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import scoremachines as sm
from scoremachines.data.images.placement import Placement
from scoremachines.errors import InputError
from scoremachines.metrics import matching
from scoremachines.metrics.attribution import attribute
from scoremachines.metrics.copies import (
    Copy,
    Kind,
    Mirrored,
    Pair,
    Recoloured,
    Scaled,
    Stretched,
    Turned,
    copy_kinds,
    pairs,
)
from scoremachines.metrics.matching import placement_families, whole_match
from scoremachines.metrics.noisy import noisy_copies

HEIGHT, WIDTH = 13, 17


def smooth(n: int, seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> torch.Tensor:
    """Return images with large features, of which no two are alike."""
    coarse = 2 * torch.rand(n, 3, 4, 5, generator=torch.Generator().manual_seed(seed)) - 1
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear").clamp(-1, 1)


def shrunk(image: torch.Tensor, height: int, width: int, ground: float) -> torch.Tensor:
    """Return an image resized by Pillow and pasted into the middle of a plain frame."""
    frame = torch.full_like(image, ground)
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    for channel, plane in enumerate(image):
        small = Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC)
        frame[channel, top : top + height, left : left + width] = torch.from_numpy(np.array(small))
    return frame


def enlarged(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the middle of an image enlarged by Pillow."""
    top, left = (height - image.shape[1]) // 2, (width - image.shape[2]) // 2
    planes = []
    for plane in image:
        large = Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC)
        planes.append(torch.from_numpy(np.array(large)))
    return torch.stack(planes)[:, top : top + image.shape[1], left : left + image.shape[2]]


KINDS = copy_kinds("both", True, (0.5, 1.5), (0.7, 1.4), True)


def test_copies_that_others_made_are_found_with_their_parameters() -> None:
    """No copy here was made by the code that finds it."""
    data = sm.TrainingSet(smooth(30, seed=1))
    one = data.images
    made = [
        (one[3], "as it is", 3, Placement()),
        (one[4].flip(-1), "mirrored", 4, Placement(mirrored=True)),
        (one[5].flip(-2), "mirrored", 5, Placement(mirrored=True, turns=2)),
        (one[6].flip(-1, -2), "turned", 6, Placement(turns=2)),
        (shrunk(one[7], 10, 13, 1.0), "scaled", 7, Placement(size=(10, 13))),
        (shrunk(one[8], 8, 11, -1.0), "scaled", 8, Placement(size=(8, 11))),
        (enlarged(one[9], 16, 21), "scaled", 9, Placement(size=(16, 21))),
        (shrunk(one[10], 13, 14, 0.2), "stretched", 10, Placement(size=(13, 14))),
        (enlarged(one[11], 15, 17), "stretched", 11, Placement(size=(15, 17))),
        (0.6 * one[12] + 0.2, "recoloured", 12, Placement(recoloured=True)),
    ]
    match = whole_match(torch.stack([image for image, *_ in made]), data, kinds=KINDS)
    assert match.image.tolist() == [image for *_, image, _ in made]
    assert match.placement == [placement for *_, placement in made]
    names = [kind.name for kind in KINDS]
    # A copy is also one as it is, recoloured by nothing: of equals, the first counts.
    assert [names[number] for number in match.best.tolist()] == [kind for _, kind, *_ in made]
    assert (match.share > 0.97).all()
    assert whole_match(one[:2], data).share.tolist() == [1.0, 1.0]


def test_every_whole_size_is_searched_and_large_frames_in_steps() -> None:
    for side in (7, 13, 17, 32):
        sizes = {each.size for each in Scaled(0.5, 1.5).placements(side, side)}
        between = range(-(-side // 2), 3 * side // 2 + 1)
        assert sizes == {(each, each) for each in between if each != side}
    large = [each.size[0] for each in Scaled(0.5, 1.0).placements(256, 256) if each.size]
    assert (len(large), min(large), max(large)) == (16, 128, 248)
    assert len(Stretched(0.75, 1.0).placements(32, 16)) == 8 + 4
    assert [each.size for each in Scaled(0.75, 0.75).placements(32, 32)] == [(24, 24)]


def test_a_quarter_turn_is_found_where_images_are_square() -> None:
    data = sm.TrainingSet(smooth(9, seed=2, size=(14, 14)))
    turned = torch.stack([data.images[4].rot90(1, (1, 2)), data.images[5].rot90(3, (1, 2))])
    match = whole_match(turned, data, kinds=[Turned()])
    assert match.image.tolist() == [4, 5]
    assert match.placement == [Placement(turns=1), Placement(turns=3)]
    assert match.share.min() > 1 - 1e-9


def test_a_shrunk_copy_off_the_middle_is_found_by_moves_and_a_mirrored_one_by_pairs() -> None:
    data = sm.TrainingSet(smooth(9, seed=3))
    image = shrunk(data.images[6].flip(-1), 9, 12, 0.5).roll((1, -2), (-2, -1))
    kinds = pairs([Mirrored(), Scaled(0.6, 0.9)])
    match = whole_match(image[None], data, shift=2, kinds=kinds)
    assert (int(match.image[0]), match.move[0].tolist()) == (6, [1, -2])
    assert match.placement[0] == Placement(True, 0, (9, 12), (1, -2))
    assert float(match.share[0]) > 0.97
    alone = whole_match(image[None], data, shift=2, kinds=[Copy(), Mirrored(), Scaled(0.6, 0.9)])
    assert float(alone.share[0]) < 0.9


@pytest.mark.parametrize(
    "placement",
    [
        Placement(),
        Placement(mirrored=True, turns=2, move=(0, 1)),
        Placement(size=(9, 12), move=(-3, 1)),
        Placement(True, 0, (16, 20)),
        Placement(size=(13, 9), recoloured=True),
    ],
)
def test_the_score_is_its_formula(placement: Placement) -> None:
    class Only(Copy):
        def placements(self, height: int, width: int) -> list[Placement]:
            return [placement]

    data, images = sm.TrainingSet(smooth(6, seed=4)), smooth(2, seed=5).double()
    match = whole_match(images.float(), data, kinds=[Only()])
    covered = placement.lay(torch.ones(1, 1, HEIGHT, WIDTH), torch.zeros(1))[0, 0].bool()
    laid = placement.lay(data.images.double(), torch.zeros(1))
    for number, image in enumerate(images):
        own = image[:, covered]
        contrast = (own - own.mean(1, keepdim=True)).square().sum()
        around = image[:, ~covered] if placement.size else image[:, :0]
        rest = 0.0
        if around.shape[1]:
            rest = float((around - around.mean(1, keepdim=True)).square().sum())
        shares = []
        for theirs in laid[:, :, covered]:
            apart = (own - theirs).square().sum()
            if placement.recoloured:
                x, y = (each - each.mean(1, keepdim=True) for each in (own, theirs))
                gain = ((x * y).sum() / (y * y).sum()).clamp(0.5, 2)
                apart = (x - gain * y).square().sum()
            shares.append(float(1 - (apart + rest) / contrast))
        assert float(match.share[number]) == pytest.approx(max(shares), abs=1e-6)
        assert int(match.image[number]) == int(np.argmax(shares))


def test_pairs_are_one_map_after_the_other() -> None:
    image = smooth(1, seed=6, size=(10, 10))
    for first in (Placement(mirrored=True), Placement(turns=1), Placement(True, 3)):
        for second in (Placement(mirrored=True), Placement(turns=3), Placement(True, 2)):
            expected = second.seen(first.seen(image))
            assert torch.equal(first.then(second).seen(image), expected)
            assert torch.equal(first.turned_back(first.turned(image)), image)
    names = [kind.name for kind in copy_kinds("horizontal", False, (0.5, 2), (0.7, 1), pair=True)]
    assert names[4:] == ["mirrored and scaled", "mirrored and stretched"]
    assert Pair(Mirrored("both"), Turned()).placements(10, 10)[0] == Placement(True, 1)


def test_neither_blocks_nor_order_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    data, images = sm.TrainingSet(smooth(23, seed=7)), smooth(5, seed=8)
    kinds = [Copy(), Mirrored("both"), Scaled(0.7, 1.2)]
    match = whole_match(images, data, 1, kinds=kinds)
    monkeypatch.setattr(matching, "BLOCK", 3 * HEIGHT * WIDTH * 4)
    blocks = whole_match(images, data, 1, kinds=kinds)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(0))
    shuffled = whole_match(images.flip(0), data.subset(order), 1, kinds=kinds)
    assert torch.equal(match.image, blocks.image)
    assert torch.equal(match.share, blocks.share)
    assert match.placement == blocks.placement == shuffled.placement[::-1]
    assert torch.equal(match.image, order[shuffled.image.flip(0)])


@pytest.mark.parametrize("kind", [*KINDS, Pair(Mirrored(), Scaled())])
def test_noisy_copies_are_of_the_kind_and_explained_by_their_own_placement(kind: Kind) -> None:
    data = sm.TrainingSet(smooth(8, seed=9))
    copies, placements = noisy_copies(data, torch.arange(8), kind, shift=1, noise=0.0)
    (family,) = placement_families([kind], 1, HEIGHT, WIDTH)
    assert {*placements} <= {*family}
    match = whole_match(copies, data, 1, kinds=[kind])
    assert (match.share > 0.99).float().mean() > 0.6  # a move may hide too much, a gain may clip
    found = match.share > 0.99
    assert torch.equal(match.image[found], torch.arange(8)[found])


def test_patches_of_mirrored_images_are_attributed_in_their_own_coordinates() -> None:
    data = sm.TrainingSet(smooth(6, seed=14))
    image = torch.cat([data.images[2].flip(-1)[..., :9], data.images[4][..., 9:]], -1)
    (plain,) = attribute(image, data, [3])
    (found,) = attribute(image, data, [3], kinds=[Copy(), Mirrored()])
    assert plain.share < found.share - 0.01
    assert plain.turned == 0
    left, right = found.image[2:-2, 2:7], found.image[2:-2, 11:-2]
    assert (left == 2).all()
    assert (right == 4).all()
    assert (found.way[2:-2, 2:7] == 1).all()
    assert (found.way[2:-2, 11:-2] == 0).all()
    columns = found.position[2:-2, 2:7] % WIDTH
    assert (columns == WIDTH - 1 - torch.arange(2, 7)).all()
    assert found.ways_words == "mirrored"
    whole = attribute(data.images[3].flip(-1), data, [3, None], kinds=[Mirrored()])
    assert [each.share for each in whole] == [1.0, 1.0]
    assert (whole[1].image == 3).all()
    assert whole[1].turned == 1.0


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Mirrored("sideways"), "flip"),
        (lambda: Scaled(0.1, 1.0), "scale"),
        (lambda: Scaled(0.5, 1e30), "scale"),
        (lambda: Scaled(1.2, 0.8), "scale"),
        (lambda: Scaled(1.0, 1.0), "scale"),
        (lambda: Stretched(float("nan"), 1.0), "stretch"),
        (lambda: copy_kinds(scale=0.5), "scale"),
        (lambda: whole_match(smooth(1, 0), sm.TrainingSet(smooth(2, 0)), kinds=[]), "kinds"),
        (lambda: placement_families([Copy(), Copy()], 0, 5, 7), "kinds"),
        (lambda: placement_families([Copy], 0, 5, 7), "kinds"),
        (lambda: Pair(Mirrored(), 3), "kinds"),
        (lambda: Placement(turns=4), "turns"),
        (lambda: Placement(size=(3, 10**30)), "size"),
        (lambda: noisy_copies(sm.TrainingSet(smooth(2, 0)), torch.tensor([2]), Copy()), "index"),
        (
            lambda: whole_match((smooth(1, 0) * 9).to(torch.uint8), sm.TrainingSet(smooth(2, 0))),
            "images",
        ),
        (lambda: whole_match(smooth(1, 0) * torch.nan, sm.TrainingSet(smooth(2, 0))), "images"),
        (lambda: placement_families([Copy()], 10**20, 5, 7), "shift"),
        (lambda: placement_families([Scaled(0.99, 1.01)], 0, 5, 7), "scale"),
        (lambda: noisy_copies(sm.TrainingSet(smooth(2, 0)), torch.arange(2), Recoloured()), ""),
    ],
)
def test_kinds_refuse(make: object, argument: str) -> None:
    assert callable(make)
    if not argument:
        make()
        return
    with pytest.raises(InputError, match=f"^{argument}="):
        make()
