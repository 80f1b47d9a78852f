"""Write log lines to standard error, for --verbose and --debug. Imported only with one of them."""

import logging


def start(*, debug: bool) -> None:
    """Log shctl's steps to standard error, and with `debug` its calls too."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    package = logging.getLogger("shctl")
    package.addHandler(handler)
    package.setLevel(logging.DEBUG if debug else logging.INFO)
