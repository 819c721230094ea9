"""Settings of crafted sets of every kind, their judges, and images under noise."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from scoremachines.data.synthetic.judge import Judge
from scoremachines.data.synthetic.shapes import ShapesConfig, make_shapes
from scoremachines.data.synthetic.shapes_config import SHAPES

NOISE = 0.2


CONFIG = ShapesConfig(size=(18, 20), n=30)


def judge_of(config: ShapesConfig) -> Judge:
    judge = make_shapes(config).judge
    assert isinstance(judge, Judge)
    return judge


def noisy(images: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed % 2**63)
    return images + NOISE * torch.randn(images.shape, generator=generator)


@st.composite
def configs(draw: st.DrawFn, slack: int = 6) -> ShapesConfig:
    """Settings of every kind, from the tightest layout on."""
    shared = draw(st.sampled_from(["colour", "shape", "orientation"]))
    shapes = ["triangle", "stripes"] if shared == "orientation" else list(SHAPES)
    most = 7 if shared == "colour" else 4
    features, columns = draw(st.integers(2, 5)), draw(st.integers(1, 3))
    feature_size, spacing = draw(st.integers(3, 6)), draw(st.integers(2, 5))
    sides = [
        count * (feature_size + spacing)
        - spacing
        + 2 * ((spacing + 1) // 2)
        + draw(st.integers(0, slack))
        for count in (-(-features // columns), columns)
    ]
    return ShapesConfig(
        size=(sides[0], sides[1]),
        n=11,
        features=features,
        feature_size=feature_size,
        feature=draw(st.sampled_from(shapes)),
        shared=shared,
        values=draw(st.integers(2, most)),
        spacing=spacing,
        background=draw(st.sampled_from([-1.0, 1.0])),
        seed=draw(st.integers(0, 2**64)),
    )
