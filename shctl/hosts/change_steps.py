"""The steps that changes of a host share: what each one does, and how it is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shctl.common.errors import Conflict
from shctl.hosts import power
from shctl.hosts.change_state import HostState
from shctl.hypervisor.connection import Hypervisor
from shctl.xml import metadata
from shctl.xml.metadata import Metadata

# From a stored definition to the new one. Pure, and it leaves what it does not know as it is.
Edit = Callable[[str], str]


class ChangeSteps:
    """The methods that change a host, and what they have stored so far.

    Store first, then change the running QEMU: a stored definition can always be restored.
    """

    def __init__(self, hypervisor: Hypervisor, state: HostState) -> None:
        self.hypervisor = hypervisor
        self.state = state
        self.host = state.host
        self.metadata = state.metadata
        self._current = state.definition
        self._before: list[str] = []

    @property
    def definition(self) -> str:
        """Return the stored XML as these steps have left it, with libvirt's addresses."""
        return self._current

    def store(self, edit: Edit) -> None:
        """Store the edited definition; raise Conflict if another program changed it meanwhile."""
        edited = edit(self._current)
        self._define(edited)

    def restore(self) -> None:
        """Store the definition again that the latest store() replaced."""
        self._define(self._before[-1])
        # Both are gone only once that worked.
        del self._before[-2:]

    def _define(self, xml: str) -> None:
        # Programs that take no lock of shctl's may have stored another definition since it was
        # read. libvirt cannot compare and store in one call; this leaves a window of 1 ms.
        if self.host.definition() != self._current:
            raise Conflict(
                f"another program changed the definition of host {self.host.name!r} meanwhile;"
                " check it, then try again"
            )
        self.hypervisor.redefine(xml)
        self._before.append(self._current)
        self._current = self.host.definition()

    def plug_cpus(self, number: int) -> None:
        """Add processors to the running QEMU."""
        power.ask_qemu(self.host, lambda: self.host.plug_cpus(number))

    def write_metadata(self, change: Callable[[Metadata], Metadata]) -> None:
        """Write changed metadata into the definition, stored and running."""
        self._write_metadata(change(self.metadata))

    def restore_metadata(self) -> None:
        """Write the metadata that the host had before the change."""
        self._write_metadata(self.state.metadata)

    def _write_metadata(self, data: Metadata) -> None:
        # A host that an old version of shctl made has no UUID in it.
        data = replace(data, uuid=self.host.uuid)
        self.host.set_metadata(metadata.text(data), metadata.URI, metadata.KEY)
        self.metadata = data
        self._current = self.host.definition()
