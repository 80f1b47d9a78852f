"""What is seen of a host while a command waits for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """A host at a moment; `state` is libvirt's, or says that there is none.

    `phase` is that of the installation and `step` the installer's own; `left` is the number of
    seconds until the installation's deadline. `line` is the last one of the console, and `silence`
    the seconds since the console's last byte. `exists` is false before the host is created.
    """

    name: str
    state: str
    phase: str | None = None
    step: str | None = None
    line: str = ""
    silence: float | None = None
    left: float | None = None
    exists: bool = True
