"""Create hosts, wholly or not at all."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from shctl import details, domain, locks, names, power, storage
from shctl.errors import Conflict, InvalidInput, NotFound
from shctl.hypervisor import Domain, Hypervisor, Pool
from shctl.metadata import Metadata, OwnedVolume
from shctl.model import HostDetail
from shctl.undo import Undo

CONSOLES = Path("/var/log/shctl/console")


@dataclass(frozen=True)
class Request:
    """What a new host is to be; `memory` in MiB, `disks` in GiB.

    `virt_type` is auto, kvm or qemu; `firmware` is bios or uefi.
    """

    name: str
    memory: int
    disks: tuple[int, ...]
    networks: tuple[str, ...]
    cpus: int = 1
    pool: str = storage.DEFAULT_POOL
    firmware: str = "bios"
    virt_type: str = "auto"
    autostart: bool = False
    start: bool = False
    if_not_exists: bool = False


def create(hypervisor: Hypervisor, request: Request) -> HostDetail:
    """Create a host and return it.

    Raises Conflict when its name is taken, InvalidInput for a network or pool that does not
    exist, NoSpace when the pool is full. Whatever fails, nothing of the host stays.
    """
    names.check_host(request.name)
    with ExitStack() as held:
        held.enter_context(locks.hold("host", request.name))
        # Shared: many hosts may come to a network at once, but its deletion has to wait.
        for network in sorted(set(request.networks)):
            held.enter_context(locks.hold("network", network, shared=True))
        if existing := _existing(hypervisor, request):
            return existing
        host = _build(hypervisor, request)
        return details.detail(hypervisor, host)


def _existing(hypervisor: Hypervisor, request: Request) -> HostDetail | None:
    try:
        host = hypervisor.domain(request.name)
    except NotFound:
        return None
    power.check_whole(host)
    if request.if_not_exists:
        return details.detail(hypervisor, host)
    raise Conflict(
        f"host {host.name!r} exists already; 'shctl hosts delete {host.name}' removes it,"
        " --if-not-exists keeps it"
    )


def _build(hypervisor: Hypervisor, request: Request) -> Domain:
    check_networks(hypervisor, request.networks)
    kvm = _use_kvm(hypervisor, request.virt_type)
    pool = storage.open_pool(hypervisor, request.pool)
    spec = _reservation(request, kvm=kvm)
    _check_volumes_free(pool, spec.metadata)
    with Undo() as undo:
        host = hypervisor.define(domain.build(spec))
        undo.push(f"host {host.name}", host.undefine)
        sources = _make_disks(pool, request, undo)
        _prepare_console(Path(spec.console), undo)
        whole = replace(
            spec,
            uuid=host.uuid,
            disks=sources,
            metadata=replace(spec.metadata, complete=True),
        )
        # The same UUID replaces the reservation: from here on the host is whole.
        host = hypervisor.define(domain.build(whole))
        if request.autostart:
            host.set_autostart(True)
        if request.start:
            power.power_on(hypervisor, host)
    return host


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


def _use_kvm(hypervisor: Hypervisor, virt_type: str) -> bool:
    if virt_type == "qemu":
        return False
    usable = hypervisor.has_kvm()
    if virt_type == "kvm" and not usable:
        raise InvalidInput(
            "virt_type: KVM is not usable on this hypervisor; use auto or qemu", field="virt_type"
        )
    return usable


def _reservation(request: Request, *, kvm: bool) -> domain.Spec:
    """Return the host without its disks: defined first, it takes the name in one atomic step.

    Its metadata lists the volumes before they exist, so that nothing is lost to an interruption.
    """
    targets = [names.disk_target(index) for index in range(len(request.disks))]
    volumes = tuple(OwnedVolume(request.pool, names.volume(request.name, t)) for t in targets)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return domain.Spec(
        name=request.name,
        memory=request.memory,
        cpus=request.cpus,
        networks=request.networks,
        disks=(),
        console=str(CONSOLES / f"{request.name}.log"),
        firmware=request.firmware,
        kvm=kvm,
        metadata=Metadata(created, complete=False, volumes=volumes),
    )


def _check_volumes_free(pool: Pool, data: Metadata) -> None:
    taken = {volume.name for volume in data.volumes} & set(pool.volume_names())
    if taken:
        raise Conflict(
            f"pool {pool.name!r} has a volume {min(taken)!r} already, which belongs to no host of"
            f" this name; look at it, then 'virsh vol-delete {min(taken)} {pool.name}'"
        )


def _make_disks(pool: Pool, request: Request, undo: Undo) -> tuple[domain.Source, ...]:
    sources = []
    for index, size in enumerate(request.disks):
        name = names.volume(request.name, names.disk_target(index))
        volume = storage.make_volume(pool, name, size)
        undo.push(f"volume {name} in pool {pool.name}", volume.delete)
        sources.append(domain.Source(volume.path, volume.is_block))
    return tuple(sources)


def _prepare_console(path: Path, undo: Undo) -> None:
    """Make room for the console's log: only root reads it, since installers print passwords."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_console(path)
    undo.push(f"log {path}", lambda: remove_console(path))


def remove_console(path: Path) -> None:
    """Remove a console's log and the older parts that virtlogd has rotated away."""
    for part in (path, *path.parent.glob(f"{path.name}.[0-9]*")):
        part.unlink(missing_ok=True)
