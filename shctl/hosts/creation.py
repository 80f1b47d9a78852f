"""Create hosts, wholly or not at all.

What installs them is imported where it is used: a blank host is made without, 14 ms sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shctl.common import clock, locks, names
from shctl.common.errors import Conflict, InvalidInput, NotFound
from shctl.common.model import HostDetail
from shctl.common.rollback import Rollback
from shctl.common.states import Phase
from shctl.hosts import conflicts, console_log, details, nvram, power
from shctl.hosts.capacity import check_memory
from shctl.hosts.request import Request
from shctl.hypervisor import ownership
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.ownership import Owner
from shctl.hypervisor.pools import Pool, Volume
from shctl.install import boot_files
from shctl.networks import ports
from shctl.storage.volumes import create_volume, disk_source, open_pool
from shctl.xml import domain, metadata
from shctl.xml.metadata import Installation, Metadata, OwnedVolume

if TYPE_CHECKING:
    from shctl.install import media


def create(
    hypervisor: Hypervisor,
    request: Request,
    progress: media.Progress,
    keep: Callable[[], object] = lambda: None,
) -> HostDetail:
    """Create a host, begin its installation if one is wanted, and return it.

    `keep` is called when the host is there already and may stay.
    Raises Conflict when its name is taken, InvalidInput for a network or pool that does not
    exist, NoSpace when the pool is full or the memory too small, InstallFailed when the tree cannot
    be fetched. Whatever fails, nothing of the host stays.
    """
    _check(hypervisor, request)
    if host := conflicts.existing(hypervisor, request):
        keep()
        if request.start:
            power.start(hypervisor, host.name)
        return details.detail(hypervisor, host)
    if not request.overcommit:
        check_memory(hypervisor, request.name, request.hardware.memory, starts=request.starts)
    with ExitStack() as held:
        # A download takes its time, so it comes before the locks.
        fetched = None
        if request.install:
            from shctl.install import media

            values = _known(request.name)
            fetched = held.enter_context(media.borrow(request.install, values, progress))
        held.enter_context(locks.hold("host", request.name))
        # Shared: many hosts may come to a network at once, but its deletion has to wait.
        for network in sorted(set(request.networks)):
            held.enter_context(locks.hold("network", network, shared=True))
        host = conflicts.existing(hypervisor, request)
        if host is None:
            host = _build(hypervisor, request, fetched)
        else:
            keep()
            if request.start:
                power.ensure_on(hypervisor, host)
        return details.detail(hypervisor, host)


def _known(host: str) -> dict[str, str]:
    """Return what can be filled into answers by itself.

    DISK is the first disk by its WWN: which one Linux calls sda, of several, is up to chance.
    """
    wwn = names.wwn(host, names.disk_target(0))
    mac = names.mac(host, 0)
    return {"HOSTNAME": host, "MAC": mac, "DISK": f"/dev/disk/by-id/wwn-0x{wwn}"}


def _check(hypervisor: Hypervisor, request: Request) -> None:
    names.check_host(request.name)
    hypervisor.check_writable()
    if request.install:
        from shctl.install import media

        media.check(request.install)
        if request.start is False:
            raise InvalidInput("start: an installation starts the host", field="start")
    check_networks(hypervisor, request.networks)


def _build(hypervisor: Hypervisor, request: Request, fetched: media.Media | None) -> Domain:
    # Once more: this time no network can go before the host is there.
    check_networks(hypervisor, request.networks)
    virt_type = _choose_virt_type(hypervisor, request.hardware.virt_type)
    pool = open_pool(hypervisor, request.pool)
    spec = _reservation(request, virt_type, location=fetched.location if fetched else None)
    conflicts.check_volumes_free(hypervisor, pool, spec.metadata)
    conflicts.check_log_free(hypervisor, request.name)
    if request.hardware.firmware == "uefi":
        nvram.check_free(hypervisor, spec.name)
    volumes: list[Volume] = []
    with Rollback() as undo:
        host = undo.make(
            f"host {spec.name}",
            lambda: hypervisor.reserve(domain.build(spec)),
            lambda host: _withdraw(hypervisor, host, pool, volumes),
        )
        owner = ownership.qemu_owner(hypervisor)
        disks = _make_disks(pool, request, owner, undo, volumes)
        spec = replace(spec, disks=disks)
        log = Path(spec.console)
        console_log.prepare_log(log)
        undo.push(f"log {log}", lambda: console_log.remove_log(log))
        _finish(hypervisor, request, spec, fetched, undo)
    return host


def _withdraw(hypervisor: Hypervisor, host: Domain, pool: Pool, volumes: list[Volume]) -> None:
    """Undefine a host, unless a volume of it could not be removed: it alone tells whose that is."""
    left = [volume.name for volume in volumes if pool.has_volume(volume.name)]
    if left:
        raise Conflict(f"host {host.name!r} still has {', '.join(left)}")
    ports.note_deleted(host.uuid)
    foreign = nvram.foreign(hypervisor, host, host.xml(stored=True))
    host.undefine(nvram=foreign is None)


def _finish(
    hypervisor: Hypervisor,
    request: Request,
    spec: domain.Spec,
    fetched: media.Media | None,
    undo: Rollback,
) -> None:
    """Define the host with all that it has, and start it or its installer.

    The same UUID replaces the reservation. The host counts as whole only when it runs, if it is
    to run; until then `doctor` and the deletion know it for an interrupted creation.
    """
    host = hypervisor.define(domain.build(spec))
    if request.autostart:
        host.set_autostart(True)
    if request.starts:
        installer = _stage(hypervisor, spec, fetched, undo) if request.install else None
        power.power_on(hypervisor, host, installer=installer)
        undo.push(f"running host {host.name}", host.destroy)
    whole = metadata.text(replace(spec.metadata, complete=True))
    host.set_metadata(whole, metadata.URI, metadata.KEY)


def _stage(
    hypervisor: Hypervisor, spec: domain.Spec, fetched: media.Media | None, undo: Rollback
) -> str:
    """Put an installer's files where its QEMU reads them; return the XML that boots them."""
    from shctl.install import media

    undo.push(f"boot files of {spec.name}", lambda: boot_files.remove_boot_files(spec.name))
    installer = media.stage(fetched, spec.name, ownership.qemu_owner(hypervisor))
    return domain.build(replace(spec, installer=installer))


def check_networks(hypervisor: Hypervisor, wanted: tuple[str, ...]) -> None:
    """Raise InvalidInput unless each network exists and is active."""
    for name in wanted:
        try:
            found = hypervisor.network(name)
        except NotFound as error:
            raise InvalidInput(f"networks: {error}", field="networks") from error
        if not found.active:
            raise InvalidInput(
                f"networks: network {name!r} is inactive; 'virsh net-start {name}' starts it",
                field="networks",
            )


def _choose_virt_type(hypervisor: Hypervisor, virt_type: str) -> str:
    if virt_type == "qemu":
        return "qemu"
    usable = hypervisor.has_kvm()
    if virt_type == "kvm" and not usable:
        raise InvalidInput(
            "virt_type: KVM is not usable on this hypervisor; use auto or qemu", field="virt_type"
        )
    return "kvm" if usable else "qemu"


def _reservation(request: Request, virt_type: str, location: str | None) -> domain.Spec:
    """Return the host without its disks: defined first, it takes the name in one atomic step.

    Its metadata lists the volumes before they exist, so that nothing is lost to an interruption,
    and names the domain that it is for, so that a copy of it gives nobody a right to them.
    """
    from uuid import uuid4  # 2 ms that a list of hosts need not spend

    uuid = str(uuid4())
    targets = [names.disk_target(index) for index in range(len(request.disks))]
    return domain.Spec(
        name=request.name,
        hardware=replace(request.hardware, virt_type=virt_type),
        networks=request.networks,
        disks=(),
        console=str(console_log.log_path(request.name)),
        metadata=Metadata(
            created=clock.now(),
            complete=False,
            volumes=tuple(
                OwnedVolume(request.pool, names.volume(request.name, t)) for t in targets
            ),
            install=_installation(request.install, location),
            uuid=uuid,
        ),
        uuid=uuid,
    )


def _installation(
    options: media.InstallOptions | None, location: str | None
) -> Installation | None:
    if options is None:
        return None
    return Installation(
        Phase.INSTALLING, clock.now(), clock.now(options.timeout), location,
        boot=clock.boot_id(), until=int(clock.uptime() + options.timeout),
    )  # fmt: skip


def _make_disks(
    pool: Pool, request: Request, owner: Owner | None, undo: Rollback, made: list[Volume]
) -> tuple[domain.Source, ...]:
    sources = []
    for index, size in enumerate(request.disks):
        name = names.volume(request.name, names.disk_target(index))
        volume = undo.make(
            f"volume {name} in pool {pool.name}",
            partial(create_volume, pool, name, size, owner),
            Volume.delete,
        )
        made.append(volume)
        sources.append(disk_source(pool, volume))
    return tuple(sources)
