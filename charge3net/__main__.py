"""``python -m charge3net COMMAND …`` is the command line, too."""

import sys

from charge3net.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
