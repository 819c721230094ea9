"""Provenance as tables: shares add up, both formats say the same, nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file

import scoremachines as sm
from scoremachines.errors import InputError
from scoremachines.sampling.provenance import (
    best_source_pixels,
    contribution_rows,
    shares,
    write_pixels,
    write_table,
)
from scoremachines.sampling.result import Result

HEIGHT, WIDTH, RANKS, COUNT = 5, 7, 3, 11


def result(best: int = RANKS) -> Result:
    generator = torch.Generator().manual_seed(0)
    images = 2 * torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=generator) - 1
    data = sm.TrainingSet(images, names=[f"picture {number}.png" for number in range(COUNT)])
    return sm.sample(sm.els(data, 3), n=2, steps=2, best=best)


def test_shares_are_sums_of_weights() -> None:
    posterior = result().posterior
    assert posterior is not None
    assert posterior.sources is not None
    found = shares(posterior, COUNT)
    assert found.shape == (2, COUNT)
    kept = posterior.weights.sum((1, 2, 3)) / (HEIGHT * WIDTH)
    assert torch.allclose(found.sum(1), kept.double())
    image = 4
    mine = (posterior.weights * (posterior.sources.image == image)).sum((1, 2, 3))
    assert torch.allclose(found[:, image], mine / (HEIGHT * WIDTH))
    assert torch.equal(
        best_source_pixels(posterior, COUNT).sum(1), torch.tensor([HEIGHT * WIDTH] * 2)
    )


def test_a_sample_of_one_image_is_attributed_to_it() -> None:
    data = result().data.subset([3])
    posterior = sm.sample(sm.ideal(data), n=2, steps=2, best=4).posterior
    assert posterior is not None
    assert torch.allclose(shares(posterior, 1), torch.ones(2, 1, dtype=torch.float64))
    assert [row["share"] for row in contribution_rows(posterior, 1)] == [1.0] * 3


def test_rows_over_the_run_are_means_over_its_samples() -> None:
    posterior = result().posterior
    assert posterior is not None
    rows = contribution_rows(posterior, COUNT)
    for image in range(COUNT):
        mine = {row["sample"]: row["share"] for row in rows if row["image"] == image}
        parts = [mine.get(number, 0.0) for number in range(2)]
        assert mine.get(None, 0.0) == pytest.approx(sum(parts) / 2, abs=1e-8)
    for sample in (None, 0, 1):
        values = [row["share"] for row in rows if row["sample"] == sample]
        assert values == sorted(values, reverse=True)
        assert min(values) > 0


def test_a_saved_result_has_its_tables(tmp_path: Path) -> None:
    shown = result()
    shown.save(tmp_path)
    assert shown.posterior is not None
    rows = json.loads((tmp_path / "contributions.json").read_text())
    assert rows == contribution_rows(shown.posterior, COUNT, shown.data.names)
    assert parquet.read_table(tmp_path / "contributions.parquet").to_pylist() == rows
    assert rows[0]["name"] == f"picture {rows[0]['image']}.png"
    tensors = load_file(tmp_path / "provenance.safetensors")
    table = parquet.read_table(tmp_path / "provenance.parquet").to_pylist()
    assert len(table) == 2 * RANKS * HEIGHT * WIDTH
    for row in table[:: 2 * WIDTH + 1]:
        where = row["sample"], row["rank"], row["row"], row["column"]
        assert row["image"] == tensors["image"][where]
        assert row["source_row"] * WIDTH + row["source_column"] == tensors["position"][where]
        assert row["weight"] == tensors["weight"][where]
        assert row["entropy"] == tensors["entropy"][where[0], where[2], where[3]]
    assert parquet.ParquetFile(tmp_path / "provenance.parquet").num_row_groups == 2


def test_missing_sources_are_no_rows(tmp_path: Path) -> None:
    data = result().data.subset([0])
    posterior = sm.sample(sm.local(data, 3), n=1, steps=1, best=3).posterior
    assert posterior is not None
    write_pixels(posterior, tmp_path / "pixels.parquet")
    table = parquet.read_table(tmp_path / "pixels.parquet")
    assert table.num_rows == HEIGHT * WIDTH
    assert set(table["rank"].to_pylist()) == {0}


def test_without_sources_there_are_no_tables(tmp_path: Path) -> None:
    result(best=0).save(tmp_path)
    assert not list(tmp_path.glob("contributions*"))
    assert not list(tmp_path.glob("*.parquet"))


def test_names_that_cannot_be_encoded_are_replaced(tmp_path: Path) -> None:
    for kind in ("json", "parquet"):
        write_table([{"name": "c\udce9d", "n": 1}], tmp_path / f"table.{kind}")
    assert json.loads((tmp_path / "table.json").read_text()) == [{"name": "c?d", "n": 1}]
    assert parquet.read_table(tmp_path / "table.parquet").to_pylist() == [{"name": "c?d", "n": 1}]
    with pytest.raises(InputError, match="output="):
        write_table([{"n": 1}], tmp_path / "missing" / "table.parquet")
