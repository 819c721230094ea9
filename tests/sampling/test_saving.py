"""Runs are written some samples at a time: the same files, and no more in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

import scoremachines as sm
from scoremachines.report.samples import THUMBNAILS
from scoremachines.sampling.saving import GRID, Samples, save_samples

PEAK = """
import sys
from pathlib import Path
from scoremachines.cli.main import main
assert main(sys.argv[1:]) == 0
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)
"""


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_parts_make_the_same_files_as_all_at_once(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = 2 * torch.rand(11, 3, 5, 7, generator=draw) - 1
    data = sm.TrainingSet(pixels, names=[f"picture\n{number}.png" for number in range(11)])
    whole = sm.sample(sm.els(data, 3), n=5, steps=2, best=3)
    whole.save(tmp_path / "whole")
    assert whole.posterior is not None
    posterior = whole.posterior

    def parts() -> Iterator[Samples]:
        for some in (slice(0, 2), slice(2, 3), slice(3, 5)):
            yield whole.images[some], posterior.at(some)

    save_samples(parts, data, tmp_path / "parts")
    expected = files(tmp_path / "whole")
    assert len(expected) == 5 + 6
    assert files(tmp_path / "parts") == expected


def test_grid_and_page_show_the_first_of_many_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scoremachines.cli.main import main

    words = "generate digits --limit 9 --window 3 --steps 1 --batch 31 --best 1 -n"
    count = max(GRID, THUMBNAILS) + 3
    assert main([*words.split(), str(count), "-o", str(tmp_path / "many")]) == 0
    assert f"grid.png (the first {GRID})" in capsys.readouterr().out
    assert len(list((tmp_path / "many" / "samples").iterdir())) == count
    page = (tmp_path / "many" / "report.html").read_text(encoding="utf-8")
    assert f"The first {THUMBNAILS} of {count} samples" in page
    assert main([*words.split(), str(GRID), "-o", str(tmp_path / "few")]) == 0
    grids = [Image.open(tmp_path / name / "grid.png") for name in ("many", "few")]
    assert grids[0].size == grids[1].size
    assert grids[0].tobytes() == grids[1].tobytes()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    words = "generate photographs --size 64 --limit 16 --machine local --window 5 --steps 1"
    peaks = []
    for count in (16, 96):  # 1 MiB a sample, were all of them held
        line = [*words.split(), "--batch", "8", "-n", str(count), "-o", str(tmp_path / str(count))]
        command = [sys.executable, "-c", PEAK, *line]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stderr
        peaks.append(float(ended.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 32, peaks
