"""Reads commands that concern HAProxy: which are exactly a reload, which exactly a check. Runs nothing."""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from ctemplate.changes import Command
from ctemplate.commit.reload.forms import Words, plain_words, service_reloaded, signalled, split_sudo

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
"""Where every distribution's service unit has it; who uses another sets `check`."""
_FLAGS_OF_A_CHECK = frozenset(("-c", "-q", "-V", "-W", "-Ws", "-dr", "-dW"))


class HaproxyReload(msgspec.Struct, frozen=True, kw_only=True):
    """A command that reloads HAProxy and does nothing else."""

    sudo: Words = ()

    def test(self, *, timeout: float) -> Command:
        """Return `haproxy -c -f FILE` with the same sudo.

        It exits with 2 for a valid file without any listener. That stays a refusal: HAProxy does not
        start with such a file, and a reload into it fails.
        """
        return Command(line=(*self.sudo, "haproxy", "-c", "-f", CONFIGURATION), timeout=timeout)


def read_reload(command: Command) -> HaproxyReload | None:
    """Recognise a command that is exactly one reload of HAProxy."""
    kill = signalled(command)
    if kill is not None:
        sudo, signal, pid_file = kill
        return HaproxyReload(sudo=sudo) if signal == "USR2" and "haproxy" in pid_file else None
    words = plain_words(command)
    if words is None:
        return None
    sudo, rest = split_sudo(words)
    return HaproxyReload(sudo=sudo) if service_reloaded(rest) == "haproxy" else None


def is_test(command: Command) -> bool:
    """Tell whether a command is exactly one `haproxy -c -f FILE …` on this machine."""
    words = plain_words(command)
    if words is None:
        return False
    _, rest = split_sudo(words)
    if not rest or PurePath(rest[0]).name != "haproxy":
        return False
    files, checks = 0, False
    options = iter(rest[1:])
    for option in options:
        if option in ("-f", "--"):
            files += next(options, "") != ""
        elif option in _FLAGS_OF_A_CHECK:
            checks = checks or option == "-c"
        else:
            return False
    return checks and files > 0
