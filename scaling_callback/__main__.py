"""`python -m scaling_callback` is the command line."""

from __future__ import annotations

import sys

from scaling_callback.cli import main

if __name__ == "__main__":
    sys.exit(main())
