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
    memory takes a fifth of what `-once` does.
    """
    _open_standard_streams()
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads it any more
        code = code or 1
    os._exit(code)


def _open_standard_streams() -> None:
    """Let closed ones lead to nowhere. Else the next file that is opened, a destination maybe, takes their place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # A process that was started without a stream has None there, whatever the types say.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - as long as the process


if __name__ == "__main__":
    run()
