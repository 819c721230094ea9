"""`python -m scoremachines`: the command line."""

import sys

from scoremachines.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
