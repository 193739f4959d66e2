"""``python -m xfworker`` is the command line."""

import sys

from xfworker.api.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
