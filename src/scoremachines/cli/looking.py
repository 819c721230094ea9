"""The commands that look at what is there: their options, and what they call."""

from __future__ import annotations

from typing import Any

from scoremachines.cli.executor import add_executor
from scoremachines.data.settings import DataSettings
from scoremachines.experiments.run_settings import field_help

__all__ = ["add_looking", "run_looking"]

EXPLORE = """See where every pixel of a run came from, on a page in the browser.

The page is served on this machine alone and needs no other. Click a pixel: the training
images that it was taken from, what it attends to, how all of it changed on the way from noise to
image, and the same pixel under another machine from the same noise.

examples:
  scoremachines explore out
  scoremachines explore out --network runs/soft      a trained network beside the machine
  scoremachines explore agreement                    what `scoremachines compare` wrote
  scoremachines explore out -o page.html             one file, to be sent to somebody
  scoremachines explore out --host 0.0.0.0           for others too, who then need the token
"""
ATTRIBUTE = """What a training set explains of an image, whoever made it.

Finds every pixel's nearest patch at several windows, how much of the image they explain, and
whether one training image explains it whole: then it is called memorised, with a threshold that is
calibrated on held-out images.

examples:
  scoremachines attribute cat.png --data pictures/ --size 32 -o attribution
  scoremachines attribute out/samples/0000.png --data out             the data of a run
  scoremachines attribute cat.png --data train/ --held-out test/ --size 32 --shift 1
  scoremachines attribute cat.png --data train/ --size 32 --flip      mirrored copies too
  scoremachines attribute cat.png --data train.shards --executor processes
  scoremachines attribute cat.png --data train/ --size 32 --flip --scale 0.5:1.5 --stretch
  scoremachines attribute cat.png --data train/ --size 32 --flip both --turn --recolour --pairs

Every kind of copy has a threshold and a rate of false positives of its own; --level is kept by all
of them together. A shrunk copy is looked for in the middle of the frame, up to --shift pixels off,
on a plain ground.
"""
READING = ("size", "crop", "channels", "limit", "limits", "layout", "images_key", "labels_key")
COPIES = ("flip", "turn", "scale", "stretch", "recolour", "pairs")
TESTING = ("held_out", "windows", "sources", "level", "shift")


def add_looking(commands: Any, make_parser: Any) -> None:
    """Add the commands to a parser's sub-commands.

    Args:
        commands: the sub-commands.
        make_parser: makes a parser from a description.
    """
    parser = make_parser(EXPLORE)
    parser.add_argument("run", type=str, help="folder of `generate` or `compare`")
    parser.add_argument(
        "--network", type=str | None, default=None, help="folder of a network to set beside it"
    )
    text = "write the page into this HTML file instead of serving it"
    parser.add_argument("-o", "--output", type=str | None, default=None, help=text)
    parser.add_argument("-n", "--samples", type=int, default=16, help="samples in the file")
    text = "a machine in the file, besides the run's own; may be repeated"
    parser.add_argument("--machine", type=str, action="append", help=text)
    parser.add_argument("--host", type=str, default="127.0.0.1", help="address to serve on")
    parser.add_argument("--port", type=int, default=8765, help="port; 0 for any that is free")
    text = "training images that live recomputation uses at most; 0 turns it off"
    parser.add_argument("--live", type=int, default=200, help=text)
    commands.add_subcommand(
        "explore", add_executor(parser), help="see where every pixel came from"
    )
    commands.add_subcommand(
        "attribute", _attribute_parser(make_parser), help="what a training set explains"
    )


def _attribute_parser(make_parser: Any) -> Any:
    parser = make_parser(ATTRIBUTE)
    parser.add_argument("image", type=str, help="image file")
    text = "the training set: a folder, a file, a name, or the folder of a run"
    parser.add_argument("--data", type=str, required=True, help=text)
    parser.add_argument("-o", "--output", type=str, default="attribution", help="folder")
    text = "source of images outside the training set, to calibrate on"
    parser.add_argument("--held-out", "--held_out", type=str | None, default=None, help=text)
    text = "bring the images to this size: 32, or 24x32 (rows x columns)"
    parser.add_argument("--size", type=str | None, default=None, help=text)
    parser.add_argument("--crop", type=str, default="centre", help="centre, stretch or tiles")
    parser.add_argument("--channels", type=int | None, default=None, help="1, 3 or 4")
    parser.add_argument("--limit", type=int | None, default=None, help="so many training images")
    texts = field_help(DataSettings)
    for name in ("limits", "layout", "images_key", "labels_key"):
        flags = dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"])
        parser.add_argument(*flags, type=str | None, default=None, help=texts[name])
    text = "such as 3,7,image; by default some that fit"
    parser.add_argument("--windows", type=str | None, default=None, help=text)
    text = "aligned, valid, circular or boundary: where a patch may come from"
    parser.add_argument("--sources", type=str, default="boundary", help=text)
    text = "rate of false positives that the memorisation test may have"
    parser.add_argument("--level", type=float, default=0.01, help=text)
    text = "pixels by which a copy may be moved and still be found"
    parser.add_argument("--shift", type=int, default=0, help=text)
    text = "mirrored copies too: horizontal (if nothing follows), vertical or both"
    option = {"nargs": "?", "type": str | None, "default": None}
    parser.add_argument("--flip", const="horizontal", help=text, **option)
    text = "copies turned by quarter turns too (by half a turn, where images are not square)"
    parser.add_argument("--turn", action="store_true", help=text)
    text = "shrunk or enlarged copies too: a size, or smallest:largest (0.5:1.5), from 0.25 to 4"
    parser.add_argument("--scale", const="0.5:1.5", help=text, **option)
    text = "copies with height or width alone resized too: smallest:largest (0.75:1.33)"
    parser.add_argument("--stretch", const="0.75:1.33", help=text, **option)
    text = "copies of other contrast and brightness too"
    parser.add_argument("--recolour", action="store_true", help=text)
    text = "two of these kinds at once too, such as mirrored and scaled"
    parser.add_argument("--pairs", action="store_true", help=text)
    return add_executor(parser)


def run_looking(command: str, chosen: Any) -> bool:
    """Run one of these commands.

    Args:
        command: its name.
        chosen: the options, parsed.

    Returns:
        Whether it is one of these.

    Raises:
        InputError: an option, or what it names, cannot be used.
    """
    if command == "explore":
        from scoremachines.cli.explore import explore

        explore(
            chosen.run,
            network=chosen.network,
            output=chosen.output,
            samples=chosen.samples,
            machines=chosen.machine or [],
            host=chosen.host,
            port=chosen.port,
            live=chosen.live,
        )
        return True
    if command == "attribute":
        from scoremachines.cli.attribute import attribute, kinds_of

        reading, copies, testing = (
            {name: chosen[name] for name in names} for names in (READING, COPIES, TESTING)
        )
        settings, kinds = DataSettings(**reading), kinds_of(**copies)
        attribute(chosen.image, chosen.data, chosen.output, settings, kinds, **testing)
        return True
    return False
