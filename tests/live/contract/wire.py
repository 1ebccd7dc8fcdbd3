"""A proxy between ctemplate and a server, so that a test can cut an answer and count connections.

It knows no protocol. TCP or a unix socket on either side.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

Address = tuple[str, int] | Path
"""`(host, port)`, or the path of a unix socket."""

CUT_BYTES = 400
"""What comes through of each answer while it is cut: a head of HTTP and the beginning of a body."""


class Wire:
    """Forwards connections from `listen` to `target`. Thread-safe; `close` ends everything."""

    def __init__(self, target: Address, *, listen: Address) -> None:
        self._target = target
        self._cut = False
        self._flow = threading.Event()
        self._flow.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = _socket(listen)
        if isinstance(listen, tuple):
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(_name(listen))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def connections(self) -> int:
        """How many connections a client holds now."""
        with self._lock:
            return len(self._open)

    def cut(self) -> None:
        """From now on close each connection when `CUT_BYTES` of what the server says have come through."""
        self._cut = True

    def mend(self) -> None:
        """Forward everything again."""
        self._cut = False

    def hold(self) -> None:
        """From now on take connections and forward nothing, as a network that lost a route."""
        self._flow.clear()

    def release(self) -> None:
        """Forward what was held, and what comes."""
        self._flow.set()

    def close(self) -> None:
        """End every connection, and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flow.set()
        with self._lock:
            for client in self._open:
                _hang_up(client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        server = _socket(self._target)
        try:
            server.connect(_name(self._target))
            up = threading.Thread(target=_pump, args=(client, server, lambda: None, self._flow), daemon=True)
            up.start()
            _pump(server, client, lambda: CUT_BYTES if self._cut else None, self._flow)
            up.join()
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()
            server.close()


class Wired:
    """What every server behind a wire has in common. Set `wire`."""

    wire: Wire
    several = 12

    def spoil(self) -> None:
        self.wire.cut()

    def mend(self) -> None:
        self.wire.mend()
        self.wire.release()

    def part(self) -> None:
        self.wire.hold()

    def join(self) -> None:
        self.wire.release()

    def connections(self) -> int:
        return self.wire.connections()


def _pump(source: socket.socket, sink: socket.socket, limit: Callable[[], int | None], flow: threading.Event) -> None:
    """Forward until either side ends or `limit` bytes went through since there is a limit; then end both."""
    passed = 0
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            flow.wait()
            most = limit()
            if most is None:
                passed = 0
                sink.sendall(data)
                continue
            sink.sendall(data[: most - passed])
            passed += len(data)
            if passed >= most:
                break
    _hang_up(source)
    _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _socket(address: Address) -> socket.socket:
    return socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)


def _name(address: Address) -> tuple[str, int] | str:
    return address if isinstance(address, tuple) else str(address)
