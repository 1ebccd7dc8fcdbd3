"""The command line: `ctemplate`, `python -m ctemplate`.

`arguments` turns the dialect of Go's flags into words that click knows, `command` is the only module that
knows click. Neither is imported for `-version` alone, which is asked often and must not cost anything.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ctemplate import __version__

VERSION_LINE = f"ctemplate {__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ctemplate` with `argv`, by default the process's own, and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["-version"], ["--version"], ["-v"]):
        sys.stdout.write(VERSION_LINE + "\n")
        return 0
    from ctemplate.cli.command import run

    return run(words)
