"""Reads an nginx command line as nginx itself does: which instance a command means, and what it asks of it.

Knows the ways to say "reload nginx" and "test nginx"; runs nothing.
"""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from ctemplate.changes import Command
from ctemplate.commit.reload.forms import Words, plain_words, service_reloaded, signalled, split_sudo

_FLAGS = frozenset("tTq")
_VALUES = frozenset("pecgs")
_INSTANCE = frozenset("pecg")
"""Options that say which instance is meant; the check must have the same."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What stands after `nginx`."""

    instance: Words = ()
    """`-p -e -c -g` with their values, as they came."""
    signal: str = ""
    test: bool = False

    def value(self, letter: str) -> str:
        """Return the last value of an instance option, or an empty text."""
        flag = f"-{letter}"
        values = (value for name, value in zip(self.instance[::2], self.instance[1::2], strict=True) if name == flag)
        return next(iter(reversed(tuple(values))), "")


class NginxReload(msgspec.Struct, frozen=True, kw_only=True):
    """A command that reloads nginx and does nothing else."""

    sudo: Words = ()
    binary: str = "nginx"
    options: Options = Options()
    pid_file: str = ""
    """Where the command itself names one: `kill -HUP $(cat FILE)`."""
    direct: bool = True
    """It signals the number in the pid file; a service manager knows its service by other means."""

    def test(self, *, timeout: float) -> Command:
        """Return `nginx -t` for the same instance, with the same sudo."""
        return Command(line=(*self.sudo, self.binary, "-t", *self.options.instance), timeout=timeout)


def read_reload(command: Command) -> NginxReload | None:
    """Recognise a command that is exactly one reload of nginx."""
    kill = signalled(command)
    if kill is not None:
        sudo, signal, pid_file = kill
        if signal == "HUP" and "nginx" in pid_file:
            return NginxReload(sudo=sudo, pid_file=pid_file)
        return None
    words = plain_words(command)
    if words is None:
        return None
    sudo, rest = split_sudo(words)
    if service_reloaded(rest) == "nginx":
        return NginxReload(sudo=sudo, direct=False)
    if not rest or PurePath(rest[0]).name != "nginx":
        return None
    options = _read(rest[1:])
    if options is None or options.signal != "reload" or options.test:
        return None
    return NginxReload(sudo=sudo, binary=rest[0], options=options)


def is_test(command: Command) -> bool:
    """Tell whether a command is exactly one `nginx -t` on this machine."""
    words = plain_words(command)
    if words is None:
        return False
    _, rest = split_sudo(words)
    if not rest or PurePath(rest[0]).name != "nginx":
        return False
    options = _read(rest[1:])
    return options is not None and options.test and not options.signal


def _read(words: Words) -> Options | None:
    """Read options as `ngx_get_options` does: letters in a cluster, a value glued on or as the next word."""
    instance: list[str] = []
    signal, test = "", False
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            return None
        for at, letter in enumerate(word[1:], start=2):
            if letter in _FLAGS:
                test = test or letter in "tT"
                continue
            value = word[at:] or next(rest, "")
            if letter not in _VALUES or not value:
                return None
            if letter in _INSTANCE:
                instance += (f"-{letter}", value)
            else:
                signal = value
            break
    return Options(instance=tuple(instance), signal=signal, test=test)
