"""Crafted training sets with known ground truth: a few local features that share one attribute.

Each image holds several features, squares, discs, triangles or stripes, far enough apart that a
small window sees one at a time, and all of one colour, shape or orientation. A machine that looks
at one window at a time can paint every feature well and yet mix their attributes; whether it does
is what the set's `Judge` counts (theory §6).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from scoremachines.data.synthetic.features import FeatureFinder
from scoremachines.data.synthetic.judge import Judge
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole

__all__ = ["ShapesConfig", "arrange", "make_shapes", "shapes"]

SWEEPS = 10
"""How often each feature is placed anew before a layout counts as random."""


def shapes(**knobs: Any) -> TrainingSet:
    """Make a crafted set with a judge (theory §6).

    Args:
        **knobs: settings of `ShapesConfig`, such as n, size, features, shared and seed.

    Returns:
        The training set.

    Raises:
        InputError: if a setting is unknown or out of range.
    """
    known = [field.name for field in fields(ShapesConfig)]
    for knob in knobs:
        if knob not in known:
            raise InputError(knob, knobs[knob], ", ".join(known), "there is no such setting")
    return make_shapes(ShapesConfig(**knobs))


def make_shapes(config: ShapesConfig) -> TrainingSet:
    """Make a crafted set, its labels and its judge.

    Image i depends on the seed and on i alone: a set of more images begins with the same ones.

    Args:
        config: the settings of the set.

    Returns:
        N images [N, 3, H, W] in [-1, 1], labelled by the value of the shared attribute, with the
        set's `Judge`.
    """
    finder = FeatureFinder(config)
    progress = tqdm(range(config.n), "placing shapes", leave=False, delay=2, disable=None)
    placements = [arrange(config, index) for index in progress]
    pixels = torch.stack([finder.paint(each) for each in placements])
    labels = torch.tensor([each[0][0] for each in placements])
    data = TrainingSet(pixels, labels, config.classes, name="shapes")
    data.judge = Judge(data, config)
    return data


def arrange(config: ShapesConfig, index: int) -> list[tuple[int, int, int]]:
    """Draw the attribute value and the places of one image's features.

    Every layout in which the features keep their distance from each other and from the border is
    equally likely, up to the finite number of Gibbs sweeps: starting from random places of a
    regular grid, each feature in turn moves to a uniformly drawn place among all that the others
    leave free. The sweeps are of fixed number, so this ends however tight the layout is.

    Args:
        config: the settings of the set.
        index: which image.

    Returns:
        For each feature the attribute value, the same for all, and its box's top row and left
        column.
    """
    random = np.random.default_rng((config.seed, whole("index", index)))
    value = int(random.integers(config.values))
    step = config.feature_size + config.spacing
    rows, columns = (
        side - 2 * config.border - config.feature_size + 1
        for side in (config.height, config.width)
    )
    grid = [(row, column) for row in range(0, rows, step) for column in range(0, columns, step)]
    corners = np.array(grid)[random.permutation(len(grid))[: config.features]]
    for feature in list(range(config.features)) * SWEEPS:
        free = np.ones((rows, columns), dtype=bool)
        for top, left in np.delete(corners, feature, axis=0):
            above, before = max(top - step + 1, 0), max(left - step + 1, 0)
            free[above : top + step, before : left + step] = False
        places = np.flatnonzero(free)
        corners[feature] = np.divmod(places[random.integers(len(places))], columns)
    return [(value, top, left) for top, left in (corners + config.border).tolist()]
