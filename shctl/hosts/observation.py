"""What a person sees of a host while a command waits for it: state, phase, and last line."""

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from shctl.common.errors import NotFound, ShctlError
from shctl.common.observation import Observation
from shctl.common.states import Phase
from shctl.common.text import clean
from shctl.hosts import installer_phases, logfile
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import domain
from shctl.xml.metadata import Metadata

_TAIL = 2**16  # bytes of the log
# Sequences that move the cursor or clear the screen separate texts as a line feed does.
_MOVES = re.compile(r"[\r\n]|\x1b\[[0-9;?]{0,40}[ABEFGHJdf]|\x1bc|\x1b[78DEM]")
_OTHERS = re.compile(
    r"\x1b(?:\[[0-9;?=]{0,40}[ -/]?[@-~]|[()*+][ -~]|[ -~])|[\x00-\x08\x0b-\x1f\x7f]"
)
_WORD = re.compile(r"[^\W_]")
_SPACES = re.compile(r"\s+")
# Frames of dialogs, as terminals with and without line drawing have them.
_FRAME = " \t\u2502\u2500\u2524\u251c\u250c\u2510\u2514\u2518|+-_#="


def observe(hypervisor: Hypervisor, name: str) -> Observation:
    """Return what is seen of a host; never raise because of its state."""
    try:
        host = hypervisor.domain(name)
        info = domain.read(host.xml())
        state = host.state
    except NotFound:
        return Observation(name, "not defined")
    except ShctlError:  # libvirtd may be restarting
        return Observation(name, "unknown: libvirt does not answer")
    phase = _phase(info.metadata)
    lines, silence = _log(info.console, name)
    step = installer_phases.find(lines) if phase == Phase.INSTALLING else None
    return Observation(name, state, phase, step, lines[-1] if lines else "", silence)


def _phase(data: Metadata | None) -> str | None:
    if data is None or data.install is None:
        return None
    return Phase.INSTALLING if data.install.open else data.install.phase


def _log(path: str | None, name: str) -> tuple[Sequence[str], float | None]:
    """Return the last lines of the console's log, and how long nothing was added to it."""
    if path is None:
        return (), None
    with suppress(ShctlError, OSError):
        if stream := logfile.open_log(logfile.resolve(Path(path), name)):
            with stream:
                facts = os.fstat(stream.fileno())
                stream.seek(max(facts.st_size - _TAIL, 0))
                tail = stream.read(_TAIL)
            return lines_of(tail.decode(errors="replace")), max(time.time() - facts.st_mtime, 0)
    return (), None


def lines_of(text: str) -> list[str]:
    """Return the texts in a piece of a log, without what only a terminal understands."""
    pieces = (_OTHERS.sub("", piece).strip(_FRAME) for piece in _MOVES.split(text))
    # Dots and bars without a word show progress, which says nothing by itself.
    return [clean(_SPACES.sub(" ", piece)) for piece in pieces if _WORD.search(piece)]
