"""What do nine windows cost, as a calibration asks about them, beside one?

Asks the native engine for the posterior mean of the same noisy image at k = 3, 5, …, 19, and
compares the time of all nine with that of k = 3 alone and with the longest of them.

Then calibrates a machine that plays a network, whose k(t) falls from 17 to 3: by asking about all
nine windows at every step, by asking near the last choice, and for the one window k = 3. The time
that the network itself takes is measured and taken off.

    python benchmarks/windows.py --data cifar10-train.zip --threads 2
"""

from __future__ import annotations

import argparse
import time

import torch

import scoremachines as sm
from scoremachines.calibration import SEARCHES, calibrate
from scoremachines.sampling.sample import trajectory
from scoremachines.theory.locality import parse_window

SCHEDULE = "0:3,0.1:3,0.3:5,0.5:9,0.7:11,0.85:15,1:17"
WINDOWS = range(3, 20, 2)


def seconds(machine: sm.ScoreMachine, noisy: torch.Tensor, level: float, repeat: int) -> float:
    """Return the shortest of some times."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        machine.denoise(noisy, level)
        times.append(time.perf_counter() - start)
    return min(times)


def calibrations(data: sm.TrainingSet, steps: int, seeds: int, seed: int) -> None:
    """Print what a calibration costs without the network itself."""
    network = sm.els(data, parse_window(SCHEDULE))
    start = time.perf_counter()
    for _ in trajectory(network, range(seeds), steps, seed):
        pass
    alone = time.perf_counter() - start
    print(f"\n{steps} steps of {seeds} trajectories; the network alone took {alone:.2f} s\n")
    print("| windows | asked about | s | over k = 3 | k(t) as known |")
    print("|---|---|---|---|---|")
    rows, least = [("3", (3,), "all")], 0.0
    rows += [("3, 5, …, 19", tuple(WINDOWS), search) for search in SEARCHES]
    for name, windows, search in rows:
        start = time.perf_counter()
        found = calibrate(
            network, data, windows=windows, search=search, steps=steps, seeds=seeds, seed=seed
        )
        passed = time.perf_counter() - start - alone
        least = least or passed
        asked = int((~found.curves.chosen_by.isnan()).all(2).sum())
        right = sum(found(t) == network.window(t) for t in found.times)
        cells = (name, f"{search}: {asked}", f"{passed:.2f}", f"{passed / least:.2f}")
        print("| " + " | ".join([*cells, f"{right} of {steps}"]) + " |", flush=True)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    wanted.add_argument("--data", default="photographs", help="training images")
    wanted.add_argument("--images", type=int, default=256)
    wanted.add_argument("--threads", type=int, default=torch.get_num_threads())
    wanted.add_argument("--repeat", type=int, default=5, help="times; the shortest counts")
    wanted.add_argument("--seed", type=int, default=0)
    wanted.add_argument("--steps", type=int, default=20, help="of the calibration")
    wanted.add_argument("--seeds", type=int, default=4, help="trajectories of the calibration")
    given = wanted.parse_args()
    torch.set_num_threads(given.threads)
    data = sm.open_source(given.data, size=32, limit=given.images)
    noise = sm.starting_noise(given.seed, range(1), data.shape)
    clean = data.block(slice(0, 1), torch.float32)
    print(f"{data!r}, {given.threads} thread(s), seed {given.seed}\n")
    print("| ᾱ | nine windows, s | k = 3, s | longest, s | nine over k = 3 | nine over longest |")
    print("|---|---|---|---|---|---|")
    for level in (0.99, 0.5, 0.1):
        noisy = level**0.5 * clean + (1 - level) ** 0.5 * noise
        each = [seconds(sm.els(data, k), noisy, level, given.repeat) for k in WINDOWS]
        cells = (sum(each), each[0], max(each), sum(each) / each[0], sum(each) / max(each))
        print("| " + " | ".join([str(level), *(f"{cell:.3g}" for cell in cells)]) + " |")
    calibrations(data, given.steps, given.seeds, given.seed)


if __name__ == "__main__":
    main()
