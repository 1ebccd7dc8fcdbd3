"""Where the code calls fsync, found in its source; and which of these lines each recorded fsync came from.

The mutation test leaves one of these lines out, by taking what it synced out of the recording: the rest of
the run is the same, since nothing in it depends on a sync.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from pathlib import Path

import ctemplate
from crash.recording import MARK

_FOR_OTHERS = {("ctemplate.commit.files", "sync"), ("ctemplate.state", "sync_directory")}
"""The functions that sync for others: their callers are the sites."""
_NAMES = {"os.fsync", "os.fdatasync", "sync", "files.sync", "sync_directory"}


def sites() -> list[str]:
    """Return every call of fsync in the package, as `module:function:line`, sorted."""
    package = Path(ctemplate.__file__).parent
    found = set()
    for source in package.rglob("*.py"):
        module = ".".join(source.relative_to(package.parent).with_suffix("").parts)
        functions = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.FunctionDef)]
        found |= {
            f"{module}:{function.name}:{call.lineno}"
            for function in functions
            for call in ast.walk(function)
            if isinstance(call, ast.Call)
            and ast.unparse(call.func) in _NAMES
            and (module, function.name) not in _FOR_OTHERS
        }
    return sorted(found)


def announce() -> None:
    """Let each fsync of this process say first where it is called: for the process that is recorded."""
    fsync = os.fsync

    def announced(descriptor: int) -> None:
        frame = sys._getframe(1)
        while (frame.f_globals["__name__"], frame.f_code.co_name) in _FOR_OTHERS and frame.f_back is not None:
            frame = frame.f_back
        with contextlib.suppress(OSError):
            os.readlink(f"{MARK}/site/{frame.f_globals['__name__']}:{frame.f_code.co_name}:{frame.f_lineno}")
        fsync(descriptor)

    os.fsync = announced  # type: ignore[assignment]  # the package syncs descriptors only
