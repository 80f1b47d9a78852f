"""Open the listening sockets that the options ask for, and configure Hypercorn for each."""

import logging
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from hypercorn.config import Config, Sockets

from shctl.common import files, paths, token_file
from shctl.common.errors import InvalidInput
from shctl.rest.http import connections, sockets


@dataclass(frozen=True)
class Options:
    """The options of serve; `names` are additional names of this server, see Authenticator."""

    listen: str | None = None
    socket: Path = field(default_factory=paths.socket)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    names: tuple[str, ...] = ()

    @property
    def tls(self) -> bool:
        """Whether TCP uses TLS."""
        return self.tls_cert is not None


class ListenerConfig(Config):
    """Hypercorn's configuration for one socket that is already open."""

    backlog = connections.ACCEPT_BATCH
    # All in seconds. This one also closes a connection that has not sent its whole header.
    keep_alive_timeout = 5.0
    ssl_handshake_timeout = 10.0
    graceful_timeout = 60.0  # longer than daemon.DRAIN_TIMEOUT, which is the limit that counts
    include_server_header = False
    errorlog = logging.getLogger("hypercorn")

    def __init__(self, listener: connections.Listener, options: Options, *, owned: bool) -> None:
        self.listener = listener
        self._owned = owned
        self._address = listener.getsockname()
        self._context: ssl.SSLContext | None = None
        self.unix = listener.family == socket.AF_UNIX
        if options.tls and not self.unix:
            self.certfile, self.keyfile = str(options.tls_cert), str(options.tls_key)
            if options.client_ca:
                self.ca_certs = str(options.client_ca)
                self.verify_mode = ssl.CERT_REQUIRED

    def create_sockets(self) -> Sockets:
        """Return the open socket in Hypercorn's form: with TLS, without it, over QUIC."""
        opened: list[socket.socket] = [self.listener]
        return Sockets(opened, [], []) if self.ssl_enabled else Sockets([], opened, [])

    def create_ssl_context(self) -> ssl.SSLContext | None:
        """Return a context that gives each new connection the TLS files that were last read."""
        context: ssl.SSLContext | None = super().create_ssl_context()
        self._context = context
        if context is not None:
            # The callback runs in each handshake, with or without SNI.
            context.sni_callback = self._use_latest
        return context

    def _use_latest(self, connection: ssl.SSLObject, *_: object) -> None:
        if self._context is not None:
            connection.context = self._context

    def reload(self) -> bool:
        """Read the TLS files again; return False for a listener without TLS.

        Raises OSError, SSLError or ShctlError for files that cannot be used.
        """
        if not self.ssl_enabled:
            return False
        token_file.check_private(Path(self.keyfile or ""))
        self._context = super().create_ssl_context()
        return True

    def remove_socket(self) -> None:
        """Remove the file of a Unix socket, unless systemd opened it and still listens there."""
        if self.unix and self._owned:
            Path(self._address).unlink(missing_ok=True)


def check_files(options: Options) -> None:
    """Raise InvalidInput or ShctlError for options and files that cannot be used."""
    if options.tls != (options.tls_key is not None):
        raise InvalidInput("--tls-cert and --tls-key must be given together")
    if options.client_ca and not options.tls:
        raise InvalidInput("--client-ca requires --tls-cert and --tls-key")
    if files.exists(paths.tokens()):
        token_file.check_private(paths.tokens())
    if options.tls_key:
        token_file.check_private(options.tls_key)


def open_all(options: Options) -> list[ListenerConfig]:
    """Return all listeners; raise InvalidInput for addresses that cannot be used."""
    passed = sockets.from_systemd()
    tcp = sockets.open_tcp(options.listen) if options.listen else []
    listeners = [ListenerConfig(one, options, owned=False) for one in (*passed, *tcp)]
    for listener in listeners:
        _check_tls(listener)
    if not passed:
        # Last, so that no error above leaves its file behind.
        unix = sockets.open_unix(options.socket)
        listeners.append(ListenerConfig(unix, options, owned=True))
    connections.set_limits([one.listener for one in listeners])
    return listeners


def _check_tls(config: ListenerConfig) -> None:
    if config.unix:
        return
    if not config.ssl_enabled and not sockets.is_loopback(config.listener):
        raise InvalidInput(
            "listen: tokens would cross the network unencrypted; use --tls-cert and --tls-key, or"
            " listen on a loopback address",
            field="listen",
        )
    try:
        config.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"cannot use the TLS files: {error}") from error
