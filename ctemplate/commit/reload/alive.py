"""Whether a process is still there, also where `hidepid` keeps it from being looked at."""

from __future__ import annotations

import contextlib
import os

import psutil


def exists(pid: int) -> bool:
    """Tell whether there is such a process, a zombie included."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def has_ended(pid: int) -> bool:
    """Tell whether a process is known to have ended. A zombie has; of one that may not be seen it is never known."""
    if not exists(pid):
        return True
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return False
