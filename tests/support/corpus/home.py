"""A folder with one good file of every kind that a command reads, all of them small."""

from __future__ import annotations

import gzip
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

import scoremachines as sm
from scoremachines.cli.main import main

__all__ = ["make_home"]

FORMATS = ("png", "jpg", "webp", "bmp", "gif", "tiff", "ppm")
RUN = "generate shapes --size 12 --shapes.feature_size 3 --limit 5 --window 3 --steps 2 -n 2"
TRAIN = "train shapes --size 12 --shapes.feature_size 3 --limit 5 --steps 2 --batch 2 --warmup 0"
NETWORK = "--network.width 4 --network.receptive_field 3 --network.pointwise 0"


def make_home(folder: Path) -> None:
    """Fill a folder, in which all paths are relative.

    Args:
        folder: the folder, which is also the working directory.
    """
    draw = np.random.default_rng(0)
    pictures = folder / "pictures"
    for number, ending in enumerate((*FORMATS, "png")):
        place = pictures / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (12, 12, 3), np.uint8)).save(
            place / f"{number}.{ending}"
        )
    with zipfile.ZipFile(folder / "pictures.zip", "w") as file:
        for path in sorted(pictures.rglob("*.*")):
            file.write(path, path.relative_to(pictures))
    pixels = draw.integers(0, 256, (6, 12, 12), np.uint8)
    np.save(folder / "images.npy", pixels)
    np.savez(folder / "images.npz", images=pixels, labels=np.arange(6) % 3)
    content = struct.pack(">HBB3I", 0, 8, 3, *pixels.shape) + pixels.tobytes()
    (folder / "images-idx3-ubyte").write_bytes(content)
    (folder / "images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    data = sm.from_array(pixels)
    with tarfile.open(folder / "pictures.tar", "w") as archive:
        archive.add(pictures, "pictures")
    sm.shard(data, folder / "set.shards", shard_size=300)
    sm.save_training_set(data, folder / "set.safetensors")
    np.save(folder / "matrix.npy", draw.random((144, 144)))
    sm.els(data, 3).save_pretrained(folder / "machine")
    net = UNet2DModel(
        **{"sample_size": 12, "block_out_channels": (8, 8), "layers_per_block": 1},
        **{"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "norm_num_groups": 4},
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
    )
    DDPMPipeline(net, DDPMScheduler()).save_pretrained(folder / "pipeline")
    for words in (
        f"{RUN} -o run",
        f"{TRAIN} {NETWORK} -o trained",
        "calibrate trained --steps 1 --seeds 2 --windows 1,3",
        "compare trained --machine none -n 2 --steps 1 -o compared",
    ):
        assert main(words.split()) == 0, words
    (folder / "notes.json").write_text(json.dumps({"torch": torch.__version__}))
