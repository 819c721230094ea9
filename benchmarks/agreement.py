"""Do sources with a width predict a network that was trained on real images (theory §2.9, §6.2)?

Beside a network stand KG's machine with the k(t) that was fitted to it, machines of which nothing
was fitted to it, the machine whose k(t) and h(t) were both fitted, and baselines. What is fitted
is fitted on other seeds. r is of whole samples from the same noise; the error of steps is the mean
squared difference of x̂0 along the network's own trajectories.

    scoremachines train train-images-idx3-ubyte.gz --size 14x14 --limit 1000 --steps 2500 -o cnn
    python benchmarks/agreement.py cnn                   100 seeds, 10 steps: about an hour
"""

from __future__ import annotations

import argparse

import scoremachines as sm
from scoremachines.calibration import calibrate, calibrate_jointly, predict_jointly
from scoremachines.calibration.curves import follow, known_sources
from scoremachines.calibration.search import every
from scoremachines.experiments.held_out import ratio_of
from scoremachines.experiments.opening import network_data, open_network
from scoremachines.experiments.run_settings import CalibrateSettings
from scoremachines.machine.by_name import make_denoiser
from scoremachines.machine.denoiser import DenoiserModel
from scoremachines.metrics.agreement import paired_difference, summarise

WIDTHS = (0.0, 0.3, 0.5, 0.7)


def main() -> None:
    """Print a table for one network."""
    wanted = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted.add_argument("network", help="folder of scoremachines train")
    wanted.add_argument("-n", type=int, default=100, help="seeds")
    wanted.add_argument("--steps", type=int, default=10)
    wanted.add_argument("--seed", type=int, default=0)
    wanted.add_argument("--fitted-seeds", type=int, default=8, help="trajectories to fit to")
    given = wanted.parse_args()
    network = open_network(given.network)
    data = network_data(given.network, CalibrateSettings())
    kind = known_sources(network, data, None)
    steps, fitted_to = given.steps, {"seeds": given.fitted_seeds, "seed": given.seed + 1}
    field = getattr(network, "receptive_field", None)
    windows = [k for k in range(1, min(data.shape[1:]) + 1, 2) if field is None or k <= field]
    calibrated = calibrate(network, data, windows=windows, steps=steps, **fitted_to)
    options = {"windows": windows, "widths": WIDTHS, "steps": steps}
    joint = calibrate_jointly(network, data, **options, **fitted_to)
    about = {"sources": kind, "schedule": network.schedule, "seed": given.seed + 1}
    alone = predict_jointly(data, draws=given.fitted_seeds, **about, **options)

    def machine(window: object, smooth: object) -> DenoiserModel:
        return sm.ScoreMachine(data, window, kind, smooth=smooth, schedule=network.schedule)

    rivals: dict[str, DenoiserModel] = {
        "k(t) fitted, h = 0 (KG)": machine(calibrated, 0.0),
        "k(t), h(t) fitted": machine(joint.window, joint.smooth),
        "k(t), h(t) of images held out": machine(alone.window, alone.smooth),
        f"k = {windows[-1]}, h = .5": machine(windows[-1], 0.5),
        f"k = {windows[-1]}, h = 0": machine(windows[-1], 0.0),
    }
    for name in ("wiener", "pca-locality", "pspc"):
        rivals[name] = make_denoiser(name, data, calibrated.schedule, network.schedule)
    print(f"{given.network}: {kind} sources, {data!r}, {given.n} seeds, {steps} steps")
    for name, found in {"fitted": joint, "held out": alone}.items():
        print(f"{name}: k(t) = {found.window}, h(t) = {found.smooth}")
    print(f"fitted with h = 0: k(t) = {calibrated.schedule}", flush=True)
    _, values = follow(
        network,
        data,
        list(rivals.values()),
        steps=steps,
        seeds=given.n,
        seed=given.seed,
        search=every(len(rivals)),
    )
    errors = -values["error"].mean(0)  # [machine, trajectory]
    compared = sm.compare(network, rivals, data, given.n, steps, given.seed)
    print("\n| machine | median r | paired with the first | r² | error of steps | of the first |")
    print("|---" * 6 + "|")
    first = compared.rows[0]
    for row, error in zip(compared.rows, errors, strict=True):
        paired = "" if row is first else str(paired_difference(row.r, first.r))
        ratio = "{:.3f} ± {:.3f}".format(*ratio_of(error, errors[0]))
        r2 = f"{summarise(row.r2).median:.3f}"
        cells = [row.machine, str(summarise(row.r)), paired, r2, f"{float(error.mean()):.4f}"]
        print(f"| {' | '.join([*cells, ratio])} |", flush=True)


if __name__ == "__main__":
    main()
