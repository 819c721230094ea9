"""Do sources with a width predict networks without being fitted to them (theory §2.9)?

The networks on 8×8 digits that the package brings along, beside machines with the sources of their
padding: with the window k(t) that was fitted to the network, and with one fixed window, its
receptive field, at several widths h. Samples start from the same noise; r is of whole samples.

    python benchmarks/smooth.py                  100 seeds, 10 steps, the table of docs/smooth.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import scoremachines as sm
from scoremachines.calibration.curves import known_sources
from scoremachines.experiments import checkpoints
from scoremachines.experiments.machines import network_window
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.metrics.agreement import paired_difference, summarise
from scoremachines.networks.training.folder import load_network

FOLDER = Path(checkpoints.__path__[0])
WIDTHS = (0.0, 0.3, 0.5, 0.7, 1.0)


def main() -> None:
    """Print a table for each network."""
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("-n", type=int, default=100, help="seeds")
    wanted.add_argument("--steps", type=int, default=10)
    wanted.add_argument("--seed", type=int, default=0)
    given = wanted.parse_args()
    data = sm.TrainingSet.open("digits", limit=300)
    for name in ("digits-cnn-0", "digits-soft-0"):
        network = load_network(FOLDER / name)
        sources = known_sources(network, data, None)
        fitted = network_window(network, FOLDER / name)
        options = {"schedule": network.schedule}
        machines: dict[str, DenoiserModel] = {
            f"k = {window}, h = {width:g}": sm.ScoreMachine(
                data, k, sources, smooth=width, **options
            )
            for window, k in (("k(t)", fitted), ("7", 7))
            for width in WIDTHS
        }
        machines["Wiener"] = sm.Wiener(data, network.schedule)
        found = sm.compare(network, machines, data, given.n, given.steps, given.seed)
        agreements = {row.machine: row.r for row in found.rows}
        first = next(iter(machines))
        print(
            f"\n{name}, {sources} sources, N = {len(data)}, {given.n} seeds, {given.steps} steps"
        )
        print("| machine | median r | paired with the first |\n|---|---|---|")
        for each, values in agreements.items():
            paired = "" if each == first else str(paired_difference(values, agreements[first]))
            print(f"| {each} | {summarise(values)} | {paired} |", flush=True)


if __name__ == "__main__":
    main()
