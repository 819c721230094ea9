"""Settings of a benchmark, in plain Python, so that `--help` is instant.

Each field of the dataclass is an option of the command line; the text below it is its help.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scoremachines.data.settings import DataSettings

__all__ = ["BENCH", "BENCH_FLAGS", "BenchSettings"]

BENCH = """Measure time, memory and error of all engines that can run here, side by side.

The baseline, dense, takes training patches as convolution filters, eight images at a time.
Each measurement is written to bench.json as soon as it is known; bench.png shows the times.

examples:
  scoremachines bench --quick -o quick
  scoremachines bench -o bench                               made-up images, up to 50,000
  scoremachines bench --data cifar10.zip --threads 2 -o bench
  scoremachines bench --data cifar10.zip --engines native --sample -o sample
  scoremachines bench --attentions --counts 500 --windows 7 -o attentions
  scoremachines bench --denoisers --counts 1000 --windows 7 --levels 0.5 -o denoisers
  scoremachines bench --executors --counts 50000 --windows 3,9 --levels 0.5 -o executors
  scoremachines bench --executor ray --address auto -o cluster
  scoremachines bench -o bench --resume                      go on after an interruption
"""
BENCH_FLAGS = {
    "quick": "a few small measurements, to see that everything works",
    "sample": "time one whole ELS sample on all images instead",
    "attentions": "time every attention beside none instead",
    "denoisers": "time sources with a width, and all other denoisers, beside ELS instead",
    "executors": "time executors beside one process instead, their scaling, and a set on disk",
}


@dataclass(frozen=True)
class BenchSettings(DataSettings):
    """Everything that decides what a benchmark measures, but the engines that are at hand."""

    engines: str = "all"
    """which to compare, such as native,torch,dense; by default all that can run here"""
    counts: str = "256,1000,5000,50000"
    """numbers of training images N; those that the source has not are left out"""
    windows: str = "3,5,9,17"
    """windows k, pixels"""
    levels: str = "0.99,0.9,0.5,0.1"
    """noise levels ᾱ to measure time at"""
    error_level: float = 0.999
    """one more noise level ᾱ, for the error alone"""
    repeat: int = 3
    """times to measure; the shortest counts"""
    patience: float = 120.0
    """leave out what would take longer than so many seconds, judging by fewer images"""
    threads: int = 0
    """threads of every engine; 0 for one a core"""
    memory: str = "1GiB"
    """memory that an engine may use above the training set"""
    tolerance: float | None = None
    """of engines that are approximate on purpose; by default their own"""
    device: str = "cpu"
    """cpu, cuda, cuda:1, ..."""
    seed: int = 0
    """seed of the noise, and of the images where no source is named"""
    schedule: str = "0:3,0.2:5,0.4:7,0.55:9,0.7:11,0.8:13,0.9:15,0.95:17"
    """k(t) of the whole sample that --sample takes"""
    steps: int = 20
    """steps of that sample"""
    stored: int = 20_000
    """images of 64×64×3 that --executors writes as shards, reads from the disk, and deletes"""

    def quick(self) -> BenchSettings:
        """Return settings that show within a minute that everything works."""
        return replace(
            self, counts="32,128", windows="3,9", levels="0.9,0.3", repeat=1, steps=3, stored=64
        )
