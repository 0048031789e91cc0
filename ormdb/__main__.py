"""`python -m ormdb` is the command line."""

import sys

from ormdb.cli import main

if __name__ == "__main__":
    sys.exit(main())
