"""Open what the server listens on, as the options say, and set Hypercorn up for it."""

import logging
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from hypercorn.config import Config, Sockets

from shctl.common import files, token_file
from shctl.common.errors import InvalidInput
from shctl.rest.http import connections, sockets


@dataclass(frozen=True)
class Options:
    """What to listen on; `names` are further names of this server."""

    listen: str | None = None
    socket: Path = sockets.DEFAULT_PATH
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    names: tuple[str, ...] = ()

    @property
    def tls(self) -> bool:
        """Tell whether there is a certificate."""
        return self.tls_cert is not None


class Listening(Config):
    """Hypercorn's configuration for one socket that is open already."""

    backlog = connections.AT_ONCE
    # An idle connection, and one that has not sent its whole header, is closed after this.
    keep_alive_timeout = 5.0
    ssl_handshake_timeout = 10.0
    graceful_timeout = 60.0  # long, so that it never comes before the server's own end is through
    include_server_header = False
    errorlog = logging.getLogger("hypercorn")

    def __init__(self, listener: connections.Listener, options: Options, *, ours: bool) -> None:
        self.listener = listener
        self._ours = ours
        self._address = listener.getsockname()
        self._newest: ssl.SSLContext | None = None
        self.unix = listener.family == socket.AF_UNIX
        if options.tls and not self.unix:
            self.certfile, self.keyfile = str(options.tls_cert), str(options.tls_key)
            if options.client_ca:
                self.ca_certs = str(options.client_ca)
                self.verify_mode = ssl.CERT_REQUIRED

    def create_sockets(self) -> Sockets:
        """Return the open socket as Hypercorn wants it."""
        opened: list[socket.socket] = [self.listener]
        return Sockets(opened, [], []) if self.ssl_enabled else Sockets([], opened, [])

    def create_ssl_context(self) -> ssl.SSLContext | None:
        """Return the context for all connections; each uses the files as they were read last."""
        context: ssl.SSLContext | None = super().create_ssl_context()
        self._newest = context
        if context is not None:
            context.sni_callback = self._renew
        return context

    def _renew(self, connection: ssl.SSLObject, *_: object) -> None:
        if self._newest is not None:
            connection.context = self._newest

    def reload(self) -> bool:
        """Read the TLS files again; return whether there are any.

        Raises OSError, SSLError or ShctlError for files that cannot be used.
        """
        if not self.ssl_enabled:
            return False
        token_file.check_private(Path(self.keyfile or ""))
        self._newest = super().create_ssl_context()
        return True

    def remove(self) -> None:
        """Remove the file of a Unix socket; systemd goes on listening on one of its own."""
        if self.unix and self._ours:
            Path(self._address).unlink(missing_ok=True)


def check_files(options: Options) -> None:
    """Raise InvalidInput or ShctlError for options and files that cannot be used."""
    if options.tls != (options.tls_key is not None):
        raise InvalidInput("--tls-cert and --tls-key go together")
    if options.client_ca and not options.tls:
        raise InvalidInput("--client-ca needs --tls-cert and --tls-key")
    if files.is_there(token_file.PATH):
        token_file.check_private(token_file.PATH)
    if options.tls_key:
        token_file.check_private(options.tls_key)


def open_all(options: Options) -> list[Listening]:
    """Return all listeners; raise InvalidInput for addresses that cannot be used."""
    given = sockets.from_systemd()
    asked = sockets.open_tcp(options.listen) if options.listen else []
    listeners = [Listening(one, options, ours=False) for one in (*given, *asked)]
    for listener in listeners:
        _check_tls(listener)
    if not given:
        # The last one, so that no refusal leaves its file.
        unix = sockets.open_unix(options.socket)
        listeners.append(Listening(unix, options, ours=True))
    connections.share_out([one.listener for one in listeners])
    return listeners


def _check_tls(config: Listening) -> None:
    if config.unix:
        return
    if not config.ssl_enabled and not sockets.is_loopback(config.listener):
        raise InvalidInput(
            "listen: other machines could read along; give --tls-cert and --tls-key, or listen"
            " on a loopback address",
            field="listen",
        )
    try:
        config.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"cannot use the TLS files: {error}") from error
