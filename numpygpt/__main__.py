"""`python -m numpygpt`: the same program as `numpygpt`. Written by hand."""

import sys

from numpygpt.cli import main

if __name__ == "__main__":
    sys.exit(main())
