"""The process: what `ctemplate` and `python -m ctemplate` run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ctemplate.cli import main

if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and end at once.

    By then every lock, file and journal is closed. A name lookup whose servers are gone, or a read on a dead network
    file system, may go on in its thread for as long as it likes, and to take apart what thousands of services left in
    memory takes a quarter of what `-once` does.
    """
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads it any more
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    run()
