"""Does a second thread help the torch engine, and what if other work has the core?

Times one evaluation of ELS on the digits, with one thread and with one a core, first alone and
then beside processes that keep every core busy.

    python benchmarks/threads.py
"""

from __future__ import annotations

import multiprocessing
import time

import torch

import scoremachines as sm


def spin() -> None:
    """Keep a core busy until the process is ended."""
    while True:
        pass


def seconds(machine: sm.ScoreMachine, noisy: torch.Tensor, threads: int) -> float:
    """Return the median time of five evaluations."""
    torch.set_num_threads(threads)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        machine.denoise(noisy, 0.5)
        times.append(time.perf_counter() - start)
    return sorted(times)[2]


def main() -> None:
    cores = torch.get_num_threads()
    machine = sm.els(sm.digits().subset(range(300)), 5)
    noisy = sm.starting_noise(0, range(4), machine.data.shape)
    seconds(machine, noisy, 1)
    print(f"| beside | 1 thread, s | {cores} threads, s |\n|---|---|---|")
    for beside in ("nothing", f"{cores} busy processes"):
        busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(cores)]
        for process in busy if beside != "nothing" else []:
            process.start()
        times = [seconds(machine, noisy, threads) for threads in (1, cores)]
        print(f"| {beside} | {times[0]:.3f} | {times[1]:.3f} |")
        for process in busy if beside != "nothing" else []:
            process.terminate()


if __name__ == "__main__":
    main()
