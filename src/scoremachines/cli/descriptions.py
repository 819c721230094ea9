"""Descriptions and examples for `--help` of each command."""

from __future__ import annotations

__all__ = [
    "CALIBRATE",
    "COMPARE",
    "CONSISTENCY",
    "DEMO",
    "DENOISE",
    "DESCRIPTION",
    "GENERATE",
    "PHASE",
    "TRAIN",
]

DESCRIPTION = """New images from a training set, in closed form, and where every pixel came from.

examples:
  scoremachines generate pictures/ --size 32 --attention full -o out
  scoremachines generate shapes --window 9 --attention tiled -n 32 -o out
  scoremachines train shapes --network.attention top1 -o runs/top1
  scoremachines compare runs/top1 --machine none --machine full -o agreement
  scoremachines consistency --preset quick -o consistency
  scoremachines bench -o bench
  scoremachines demo -o demo
  scoremachines explore out
  scoremachines attribute cat.png --data pictures/ --size 32
"""
GENERATE = """Paint new images from a folder of images, or from a set by name.

examples:
  scoremachines generate pictures/ --size 32 -n 16 --machine local --window 11 -o out
  scoremachines generate digits --window 5 --class 3 -o threes
  scoremachines generate photographs --size 16 --limit 256 --machine bbels -o out
  scoremachines generate shapes --shapes.shared shape --window 0:5,0.5:9,1:11 -o out
  scoremachines generate --config out/settings.yaml -o again     the same run again
  scoremachines generate digits --window 5 -o out --resume       go on after an interruption
  scoremachines generate photos.shards --executor processes -o out    see `scoremachines shard`
  scoremachines generate photos.shards --executor ray --address auto -o out
  torchrun --nproc-per-node 4 -m scoremachines generate photos.shards --executor torch -o out
"""
DENOISE = """Hold machines against images that they have not seen, at several noise levels.

Mean squared errors over that of the Wiener filter, with paired standard errors. Windows and widths
of sources are chosen by other held-out images.

examples:
  scoremachines denoise digits -n 200 --windows 3,5,7 -o denoise
  scoremachines denoise train.zip --held_out test.zip --machine local --machine els -o denoise
  scoremachines denoise cifar10.zip --pool 10000 --machine local --sigmas 0.05,0.3 -o denoise
  scoremachines denoise digits --machine local:smooth=0.8 -o denoise
"""
PHASE = """Find where a machine recites its training images, and where it can invent.

For several noise levels, windows and numbers of training images: how much a noised training patch
knows of the image that it comes from, log N nats at most. A map with the edge, a table, and
whether curves of all numbers of images fall onto one.

examples:
  scoremachines phase digits -o phase
  scoremachines phase pictures/ --size 32 --windows 3,5,9,15 --steps 20 -o phase
  scoremachines phase digits --classes true --drawn runs/cnn/calibration.json -o phase
"""
TRAIN = """Train a network on a folder of images, or on a set by name.

Killed at any moment and resumed, it ends with the same weights as if it had not been.

examples:
  scoremachines train shapes --network.attention top1 -o runs/top1
  scoremachines train pictures/ --size 32 --network.receptive_field 9 --steps 20000 -o runs/cnn
  scoremachines train digits --network.conditional true -o runs/digits
  scoremachines train --config runs/top1/settings.yaml -o again      the same training again
  scoremachines train --config runs/top1/settings.yaml -o runs/top1 --resume   go on with it
"""
COMPARE = """Compare a network with machines, image by image, from the same noise.

machines:
  ideal equivariant local els bbels               as they are
  none identity top1 tiled full multiscale        with that attention and the network's padding
  measured                                        with the network's own attention maps
  measured:1.3 tiled:0.5 ...                      the same, times a strength
  measured:calibrated ...                         times the one that calibrate --strength found
  measured:perplexity ...                         each row by its perplexity
  tiled-class measured-consensus ...              class-level evidence, or consensus on a class
Other names of the same are understood: IS, ES, LS, ELS, bbELS, top-1, multi-scale.
The ideal score and the Wiener filter are always among them, and a machine without attention.

examples:
  scoremachines compare runs/top1 --machine none --machine measured -o agreement
  scoremachines compare runs/cnn --machine bbels -n 100 --network-steps 150 -o agreement
  scoremachines compare runs/cnn --machine bbels -n 100 -o agreement --resume    go on with it
  scoremachines compare my_ddpm/ --source pictures/ --size 32 --sources boundary --window 9
  scoremachines compare my.code:network --source digits --window my_calibration.json
"""
CALIBRATE = """Find how large a window a trained network sees through, at every time: k(t).

Follows the network down its own trajectories, evaluates machines of all windows on the same noisy
images, and writes calibration.json and calibration.png beside the checkpoint. Takes what
compare takes: the folder of a training; with --source, a model or pipeline of diffusers, or a
function of your own.

examples:
  scoremachines calibrate runs/cnn
  scoremachines calibrate runs/cnn --windows 3,5,7 --measure clean
  scoremachines calibrate runs/cnn --predict            beside the prediction from the images
  scoremachines calibrate runs/soft --strength          and how strongly it attends
  scoremachines calibrate my_ddpm/ --source pictures/ --size 32 --windows 3,5,7,9,11
  scoremachines calibrate my.code:network --source digits -o calibration
"""
CONSISTENCY = """Does attention make networks agree with themselves? Does the theory predict it?

The paper's experiment, whole: networks without and with attention, machines in closed form, how
often their samples are consistent, tests of the order, agreement image by image, sweeps, one page.
The preset quick uses small networks that the package brings along; paper trains everything.

examples:
  scoremachines consistency --preset quick -o consistency
  scoremachines consistency --preset quick -n 24 --sweeps false --real false -o glance
  scoremachines consistency --preset paper --workers 8 -o paper
  scoremachines consistency --preset paper -o paper --resume     go on after an interruption
  scoremachines consistency --training-steps 4000 --shapes.features 2 -o two
"""
DEMO = """Paint digits, photographs and the crafted set, without and with attention.

Every machine of a section starts from the same noise. Takes a few minutes, needs no network, and
ends by naming the page that it wrote.

examples:
  scoremachines demo -o demo
  scoremachines demo -o demo --resume
"""
