"""The programs that shctl is compared with: their paths, or why they are missing."""

from importlib.metadata import PathDistribution
from pathlib import Path
from shutil import which

from benchmarks.rack import ROOT

_HOME = ROOT / ".venv" / "peers"


def program(name: str) -> str | None:
    """Return the path of a peer's program, None where it is not installed."""
    here = _HOME / "bin" / name
    return str(here) if here.exists() else which(name)


def reason(package: str) -> str:
    """Say why a peer is not there, as pip said it."""
    log = _HOME / f"{package}.log"
    lines = log.read_text().strip().splitlines() if log.exists() else []
    return f"{package} is not installed: {lines[-1] if lines else 'nothing tried to'}"


def version(package: str) -> str:
    """Return the version of a package in the peers' environment."""
    for found in _HOME.glob(f"lib/python3*/site-packages/{package.replace('-', '_')}-*.dist-info"):
        return str(PathDistribution(Path(found)).version)
    return "missing"
