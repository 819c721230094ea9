"""The commands that look at what is there: their options, and what they call."""

from __future__ import annotations

from typing import Any

__all__ = ["add_looking", "run_looking"]

EXPLORE = """See where every pixel of a run came from, on a page in the browser.

The page is served on this machine alone and asks nothing of any other. Click a pixel: the training
images that it was taken from, what it listens to, how all of it changed on the way from noise to
image, and the same pixel under another machine from the same noise.

examples:
  scoremachines explore out
  scoremachines explore out --network runs/soft      a trained network beside the machine
  scoremachines explore agreement                    what `scoremachines compare` wrote
  scoremachines explore out -o page.html             one file, to be sent to somebody
  scoremachines explore out --host 0.0.0.0           for others too, who then need the token
"""


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
    commands.add_subcommand("explore", parser, help="see where every pixel came from")


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
    return False
