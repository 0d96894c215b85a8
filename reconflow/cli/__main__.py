"""``python -m reconflow.cli``."""

import sys

from reconflow.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
