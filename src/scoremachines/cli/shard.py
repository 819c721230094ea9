"""`scoremachines shard`: a training set of any size, in a folder of memory-mapped files."""

from __future__ import annotations

from typing import Any

from scoremachines.data.settings import DataSettings, limit_values, size_pixels
from scoremachines.errors import InputError
from scoremachines.experiments.run_settings import field_help, memory_bytes

__all__ = ["SHARD", "run_shard", "shard_parser"]

SHARD = """Write a training set of any size as shards: memory-mapped files with a manifest.

Whatever takes images takes the folder, or the address that it is copied to: it is opened at once
and read from disk where it is needed. A run that was killed goes on with --resume, with the same
bytes; damaged files are written again.

examples:
  scoremachines shard pictures/ --size 64 -o photos.shards
  scoremachines shard more.zip --size 64 -o photos.shards --append
  scoremachines shard tars/ --size 64 --channels 3 -o imagenet.shards   WebDataset tars
  scoremachines shard saved/ -o cifar.shards                            datasets.save_to_disk
  scoremachines generate photos.shards -n 4 --executor processes
  scoremachines generate s3://bucket/photos.shards -n 4
"""


def shard_parser(make_parser: Any) -> Any:
    """Return the parser of the command.

    Args:
        make_parser: makes a parser from a description.

    Returns:
        The parser.
    """
    parser, texts = make_parser(SHARD), field_help(DataSettings)
    text = "a folder, zip or tar of images, a folder of tars, a file of arrays, a saved data set"
    parser.add_argument("images", type=str, help=text)
    parser.add_argument("-o", "--output", type=str, required=True, help="folder to write to")
    for name in ("size", "limits", "layout", "images_key", "labels_key"):
        flags = dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"])
        parser.add_argument(*flags, type=str | None, default=None, help=texts[name])
    parser.add_argument("--crop", type=str, default="centre", help=texts["crop"])
    text = "1, 3 or 4; by default as many as the first image has"
    parser.add_argument("--channels", type=int | None, default=None, help=text)
    text = "take so many of the source, spread evenly"
    parser.add_argument("--limit", type=int | None, default=None, help=text)
    text = "memory that the pixels of a shard take"
    parser.add_argument("--shard_size", "--shard-size", type=str, default="256MiB", help=text)
    text = "how many read and resize at a time; by default one a processor"
    parser.add_argument("--threads", type=int | None, default=None, help=text)
    text = "add to the set that the folder holds"
    parser.add_argument("--append", action="store_true", help=text)
    text = "go on where it stopped, and write damaged shards again"
    parser.add_argument("--resume", action="store_true", help=text)
    return parser


def run_shard(chosen: Any) -> None:
    """Run the command.

    Args:
        chosen: the options, parsed.

    Raises:
        InputError: an option, the source or the folder cannot be used.
    """
    from scoremachines.data.sharding.write import shard

    try:
        size = memory_bytes(chosen.shard_size)
    except InputError as error:
        raise InputError("shard_size", chosen.shard_size, error.accepted) from None
    data = shard(
        chosen.images,
        chosen.output,
        size=size_pixels(chosen.size),
        crop=chosen.crop,
        channels=chosen.channels,
        shard_size=size,
        threads=chosen.threads,
        append=chosen.append,
        resume=chosen.resume,
        limit=chosen.limit,
        limits=limit_values(chosen.limits),
        layout=chosen.layout,
        images_key=chosen.images_key,
        labels_key=chosen.labels_key,
    )
    print(f"{data!r}: {data.pixels.nbytes / 2**20:.1f} MiB of pixels")
    print(f"wrote {chosen.output}; try: scoremachines generate {chosen.output} -n 4")
