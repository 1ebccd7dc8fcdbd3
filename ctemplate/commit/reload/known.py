"""Which server a command reloads: picks the reloader and the check that belong to it.

The only place that lists the servers that we know. What proves a reload is each server's own module,
imported only when a reload of it is asked for.
"""

from __future__ import annotations

from ctemplate.changes import Command
from ctemplate.commit.reload.base import Reloader
from ctemplate.commit.reload.forms import plain_words
from ctemplate.commit.reload.haproxy import options as haproxy
from ctemplate.commit.reload.nginx import options as nginx
from ctemplate.commit.reload.plain import PlainReloader
from ctemplate.events import Emit, Event


def _nobody(event: Event) -> None:
    """Tell nobody."""


def reloader_for(command: Command, *, haproxy_socket: str = "", emit: Emit = _nobody) -> Reloader:
    """Return what runs this command and proves its effect. Keep it: it warns once in its life.

    `haproxy_socket` is the path of the master socket of HAProxy, for commands that reload it.
    """
    if form := nginx.read_reload(command):
        from ctemplate.commit.reload.nginx.reloader import NginxReloader

        return NginxReloader(command, form, emit=emit)
    if proxy := haproxy.read_reload(command):
        from ctemplate.commit.reload.haproxy.reloader import HaproxyReloader

        return HaproxyReloader(command, proxy, socket=haproxy_socket, emit=emit)
    return PlainReloader(command, emit=emit)


def infer_check(command: Command) -> Command | None:
    """Return the check that belongs to a command that is exactly one that we know, else None."""
    known = nginx.read_reload(command) or haproxy.read_reload(command)
    return known.test(timeout=command.timeout) if known else None


def is_known_local_check(command: Command) -> bool:
    """Tell whether a check reads the files of this machine, so that a private mount namespace is enough for it.

    Anything else (`docker exec`, ssh, a script) may look elsewhere.
    """
    return nginx.is_test(command) or haproxy.is_test(command)


def unknown_command_warning(command: Command) -> str:
    """Return what to say, once at start, of a command that we do not know; empty for one that we do."""
    if infer_check(command) is not None:
        return ""
    if plain_words(command) is None:
        return (
            f"`{command}` is for a shell to read, so no check could be inferred: the files are not checked before "
            "they are live, and only its exit code says whether it worked. Set `check` (-check), and make the command "
            "the reload alone"
        )
    return (
        f"`{command}` is no command that ctemplate knows: no check could be inferred (set one with `check`, -check), "
        "and only its exit code says whether it worked"
    )
