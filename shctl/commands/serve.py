"""`shctl serve`: the REST server."""

from __future__ import annotations

from pathlib import Path

import click

from shctl.commands.base import LocalCommand
from shctl.commands.session import Session
from shctl.common import paths

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command(
    cls=LocalCommand,
    examples=[
        "shctl serve",
        "shctl serve --listen 127.0.0.1",
        "shctl serve --listen 0.0.0.0:8420 --tls-cert /etc/shctl/cert.pem"
        " --tls-key /etc/shctl/key.pem --allow-host rack1.example.com",
    ],
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Also listen on TCP, on port 8420 by default; clients need tokens there.",
)
@click.option(
    "--socket",
    "path",
    metavar="PATH",
    default=str(paths.socket()),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Unix socket, for root and the group shctl.",
)
@click.option(
    "--tls-cert", type=_FILE, metavar="FILE", help="Certificate chain for TCP, in PEM format."
)
@click.option(
    "--tls-key",
    type=_FILE,
    metavar="FILE",
    help="Private key of the certificate; the file needs mode 0600.",
)
@click.option(
    "--client-ca",
    type=_FILE,
    metavar="FILE",
    help="Require certificates of this CA from TCP clients.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Accept requests for this name of the server, in addition to its host name. Repeatable.",
)
@click.pass_context
def serve(
    ctx: click.Context,
    listen: str | None,
    path: Path,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    names: tuple[str, ...],
) -> None:
    """Run the REST server.

    The server also completes installations: it starts each installed host from its disk.
    Without --listen, only root and members of the group shctl on this machine can connect.

    With the global option --debug, or with SHCTL_DEBUG=1 in the environment, the log also has the
    calls to libvirt, Open vSwitch and installation trees, each with the id of its request.

    SIGHUP reloads the TLS files for new connections. SIGTERM gives running requests 8 seconds to
    finish.
    """
    from shctl.commands import option_defaults, settings

    # Optional dependencies, and the slowest import of the command line.
    try:
        from shctl import server
    except ModuleNotFoundError as error:
        from shctl.common.errors import ShctlError

        hint = "install the Debian package shctl-server, or the extra shctl[server]"
        raise ShctlError(f"{error}; {hint}") from None
    session = ctx.ensure_object(Session)
    # Stop here on an invalid setting; otherwise each request would fail, and no client can fix it.
    settings.show(ctx, session)
    option_defaults.show(ctx.find_root())
    options = server.Options(listen, path, tls_cert, tls_key, client_ca, names)
    server.run(ctx.find_root(), session.uri, options)
