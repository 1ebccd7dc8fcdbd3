"""The service manager's side: sd_notify(3) without a library, since the protocol is one datagram.

Everything here does nothing when no service manager listens (`NOTIFY_SOCKET` is not set).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Tells systemd how the service is."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1e6 if mine and self._address else 0.0
        """systemd restarts us when it hears no `alive` for so long; 0.0: it does not watch."""

    def ready(self, status: str) -> None:
        """Started, or done with reloading."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Reading the configuration again. The time stamp is what `Type=notify-reload` asks for."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """On the way out."""
        self._send("STOPPING=1")

    def status(self, status: str) -> None:
        """What `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """The loop has made progress."""
        if self.watchdog_seconds:
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto("\n".join(lines).encode(), self._address)
