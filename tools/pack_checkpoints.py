"""The networks that the package brings along: copied from an experiment that trained them.

    scoremachines consistency --training-steps 3500 --steps 20 -o out
    python tools/pack_checkpoints.py out/networks

Weights are kept in half precision. What is shipped are the rounded weights; calibration and curve
were made with the unrounded ones.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from diffusers.utils import SAFETENSORS_WEIGHTS_NAME as WEIGHTS

from scoremachines.errors import InputError
from scoremachines.experiments.machines import CALIBRATION
from scoremachines.experiments.networks import CURVE
from scoremachines.experiments.trainings import SHIPPED
from scoremachines.io.files import atomic_path, exists, is_folder
from scoremachines.io.sealed import read_json, write_json, write_tensors
from scoremachines.networks.training.folder import load_network, network_seal


def packed(networks: str | Path, into: str | Path) -> list[Path]:
    """Copy networks, their calibrations and their curves of agreement.

    Args:
        networks: folder of the trainings, one in each folder.
        into: folder to write to; made if it is missing.

    Returns:
        The folders written, one a network.

    Raises:
        InputError: there is no training, or one is damaged.
    """
    folders = sorted(path for path in Path(networks).glob("*") if is_folder("networks", path))
    if not folders:
        raise InputError("networks", networks, "a folder of trainings")
    written = []
    for folder in folders:
        target = Path(into) / folder.name
        target.mkdir(parents=True, exist_ok=True)
        network = load_network(folder)
        # Where it was trained is nobody's business.
        config = {key: value for key, value in network.config.items() if key != "_name_or_path"}
        with atomic_path(target / "config.json") as path:
            path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        halves = {name: each.half() for name, each in network.state_dict().items()}
        write_tensors(target / WEIGHTS, halves, network_seal(target / "config.json"))
        for name in (CALIBRATION, CURVE):
            if exists("networks", folder / name):
                content = read_json(folder / name, argument="networks")
                write_json(target / name, content, indent=None)
        written.append(target)
    return written


if __name__ == "__main__":
    print("\n".join(map(str, packed(sys.argv[1], str(SHIPPED)))))
