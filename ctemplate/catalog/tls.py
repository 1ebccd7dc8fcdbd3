"""What a TLS connection to a catalog trusts and shows: settings and files in, an SSL context out."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ctemplate.catalog.http import reason_of
from ctemplate.config import values
from ctemplate.config.values import Kind
from ctemplate.errors import Refused


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The TLS settings of one catalog."""

    ca_file: Path | None = None
    """Trusted instead of the system's authorities, not beside them."""
    client_cert: Path | None = None
    client_key: Path | None = None
    verify: bool = True
    server_name: str = ""
    """The name that the certificate must carry, if not the address's."""

    def context(self) -> ssl.SSLContext:
        """Read the files. Raises `Refused` when one cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key, password=_no_password)
        except OSError as fault:
            files = ", ".join(str(file) for file in (self.ca_file, self.client_cert, self.client_key) if file)
            raise Refused(f"the TLS files {files} cannot be used: {reason_of(fault)}") from fault
        return context


TLS_OPTIONS: Mapping[str, Kind] = {
    "ca_file": values.PATH,
    "client_cert": values.PATH,
    "client_key": values.PATH,
    "ssl_verify": values.SWITCH,
    "tls_server_name": values.TEXT,
}
"""What every catalog that speaks TLS takes, under the names that `[consul]` has for it."""


def tls_of(options: Mapping[str, Any]) -> Tls:
    """Return what `TLS_OPTIONS` say."""
    return Tls(
        ca_file=options.get("ca_file"),
        client_cert=options.get("client_cert"),
        client_key=options.get("client_key"),
        verify=options.get("ssl_verify", True),
        server_name=options.get("tls_server_name", ""),
    )


def _no_password() -> str:
    """Never let OpenSSL ask a terminal for the password of a key."""
    raise OSError("the client key is encrypted; ctemplate needs one that is not")
