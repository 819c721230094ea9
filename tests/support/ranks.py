"""Every machine on ranks: `torchrun … -m support.ranks`, where the folder of tests is known."""

from __future__ import annotations

import sys

from scoremachines.data.executors.distributed import Distributed
from support.dividing import check_same_bits
from support.machines import EVERY, PLAIN


def main() -> None:
    """Compare every machine, and say how many."""
    executor = Distributed()
    if executor.rank:
        executor.serve()
        sys.exit()
    with executor:
        for case in [*PLAIN, *EVERY]:
            check_same_bits(case, [executor])
        print("the same bits:", len(PLAIN) + len(EVERY))


if __name__ == "__main__":
    main()
