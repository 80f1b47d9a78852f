"""Look up, list in bulk and define what a hypervisor has."""

import os
from collections.abc import Iterable
from contextlib import suppress

from shctl.common import rows
from shctl.common.errors import InvalidInput, NotFound, ShctlError, Unreachable
from shctl.common.states import DomainState
from shctl.hypervisor.binding import api, translated
from shctl.hypervisor.domain import Domain
from shctl.hypervisor.network import Network, network_state, yes_no
from shctl.hypervisor.pools import Pool, Volume
from shctl.hypervisor.reconnecting import Reconnecting
from shctl.hypervisor.state_names import domain_state


class Hypervisor(Reconnecting):
    """One hypervisor: what it has, and what can be defined on it."""

    @property
    def simulated(self) -> bool:
        """Return whether this is libvirt's test driver, which has no Open vSwitch."""
        return self.uri.startswith("test:")

    @property
    def is_local(self) -> bool:
        """Return whether this is the machine that shctl runs on, and not simulated."""
        # Takes 2 ms to import, which lists do not need.
        from urllib.parse import urlsplit

        host = urlsplit(self.uri).hostname
        return not self.simulated and host in (None, "localhost", "127.0.0.1", "::1")

    def write_refusal(self) -> ShctlError | None:
        """Return why changes are refused on this connection, None if they are not.

        A change also affects ports, logs, locks and files. These are always on this machine, and
        they belong to root, even if libvirt accepts other users.
        """
        if self.simulated:
            return None
        if not self.is_local:
            return InvalidInput(
                f"connect: {self.uri} is another machine; shctl can only change the machine that it"
                " runs on, so run it there",
                field="connect",
            )
        if os.geteuid():
            return Unreachable("only root may do this: use sudo, or the server (group shctl)")
        return None

    def check_writable(self) -> None:
        """Raise InvalidInput or Unreachable if changes are refused on this connection."""
        if error := self.write_refusal():
            raise error

    def hosts(self) -> list[rows.Host]:
        """Return every domain, sorted by name, in one call."""
        connection = self.connection
        with translated("cannot list hosts"):
            stats = connection.getAllDomainStats(api.VIR_DOMAIN_STATS_STATE)
        found = [
            rows.Host(domain.UUIDString(), domain.name(), _state(values))
            for domain, values in stats
        ]
        found.sort(key=lambda host: host.name)
        return found

    def networks(self) -> list[rows.Network]:
        """Return every network, sorted by name, in three calls."""
        active = self._network_names(api.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        persistent = self._network_names(api.VIR_CONNECT_LIST_NETWORKS_PERSISTENT)
        autostart = self._network_names(api.VIR_CONNECT_LIST_NETWORKS_AUTOSTART)
        # A transient network exists only while it is active.
        return [
            rows.Network(
                name=name,
                state=network_state(active=name in active),
                autostart=yes_no(name in autostart),
                persistent=yes_no(name in persistent),
            )
            for name in sorted(active | persistent)
        ]

    def _network_names(self, flag: int) -> set[str]:
        connection = self.connection
        with translated("cannot list networks"):
            return {network.name() for network in connection.listAllNetworks(flag)}

    def domain(self, name: str) -> "Domain":
        """Look up a host by name; raise NotFound with the nearest name that exists."""
        if found := self.find_domain(name):
            return found
        raise not_found("host", name, [h.name for h in self.hosts()])

    def find_domain(self, name: str) -> "Domain | None":
        """Return a host by name, None where there is none."""
        connection = self.connection
        with suppress(NotFound), translated(f"cannot look up host {name!r}"):
            return Domain(connection.lookupByName(name))
        return None

    def domains(self) -> list["Domain"]:
        """Return every domain."""
        connection = self.connection
        with translated("cannot list hosts"):
            return [Domain(handle) for handle in connection.listAllDomains()]

    def active_uuids(self) -> set[str]:
        """Return the UUIDs of the domains that have a QEMU process."""
        return self._uuids("ACTIVE")

    def inactive_uuids(self) -> set[str]:
        """Return the UUIDs of the domains that are stored and do not run."""
        return self._uuids("INACTIVE")

    def autostart_uuids(self) -> set[str]:
        """Return the UUIDs of the domains that libvirtd starts when it starts itself."""
        return self._uuids("AUTOSTART")

    def saved_uuids(self) -> set[str]:
        """Return the UUIDs of the domains that `virsh managedsave` has saved."""
        return self._uuids("MANAGEDSAVE")

    def snapshot_uuids(self) -> set[str]:
        """Return the UUIDs of the domains that have snapshots."""
        return self._uuids("HAS_SNAPSHOT")

    def _uuids(self, filter_name: str) -> set[str]:
        """Return the UUIDs of the domains that a filter of libvirt's lists, in one call."""
        connection = self.connection
        with translated("cannot list hosts"):
            flag = getattr(api, f"VIR_CONNECT_LIST_DOMAINS_{filter_name}")
            return {handle.UUIDString() for handle in connection.listAllDomains(flag)}

    def active_domains(self) -> dict[str, bool]:
        """Return the name of each domain, and whether it has a QEMU process."""
        return self._by_name("listAllDomains", "DOMAINS")

    def active_networks(self) -> dict[str, bool]:
        """Return the name of each network, and whether it is active."""
        return self._by_name("listAllNetworks", "NETWORKS")

    def active_pools(self) -> dict[str, bool]:
        """Return the name of each storage pool, and whether it is active."""
        return self._by_name("listAllStoragePools", "STORAGE_POOLS")

    def _by_name(self, method: str, kind: str) -> dict[str, bool]:
        connection, found = self.connection, {}
        # All first, not the inactive ones: an object that stops between the two calls is listed.
        for flag in (0, getattr(api, f"VIR_CONNECT_LIST_{kind}_ACTIVE")):
            with translated(f"cannot list {kind.lower().replace('_', ' ')}"):
                found.update({h.name(): bool(flag) for h in getattr(connection, method)(flag)})
        return found

    def reserve(self, xml: str) -> "Domain":
        """Define a domain to reserve its name; raise Conflict if the name is in use.

        Another call of define replaces it.
        """
        # Not validated, since that takes four times as long as the rest and define does it.
        return self._define(xml, 0)

    def define(self, xml: str) -> "Domain":
        """Define a domain; raise Conflict when another one has its name."""
        return self._define(xml, api.VIR_DOMAIN_DEFINE_VALIDATE)

    def redefine(self, xml: str) -> "Domain":
        """Replace a domain's stored definition by an edited one.

        Not validated: definitions that other programs stored may not match libvirt's schema.
        """
        return self._define(xml, 0)

    def _define(self, xml: str, flags: int) -> "Domain":
        connection = self.connection
        with translated("cannot define the host"):
            return Domain(connection.defineXMLFlags(xml, flags))

    def launch_paused(self, xml: str) -> None:
        """Start a domain, paused, with XML that differs from its stored definition.

        The stored definition does not change, and applies again when this QEMU ends.
        """
        connection = self.connection
        flags = api.VIR_DOMAIN_START_PAUSED | api.VIR_DOMAIN_START_VALIDATE
        with translated("cannot start the installer"):
            connection.createXML(xml, flags)

    def has_kvm(self) -> bool:
        """Return whether libvirt can use KVM for x86-64 guests."""
        connection = self.connection
        with suppress(ShctlError), translated("cannot check for KVM"):
            connection.getDomainCapabilities(None, "x86_64", "q35", "kvm")
            return True
        return False

    def capabilities(self) -> str:
        """Return libvirt's capabilities, as XML."""
        connection = self.connection
        with translated("cannot read libvirt's capabilities"):
            return str(connection.getCapabilities())

    def network(self, name: str) -> "Network":
        """Look up a network by name; raise NotFound with the nearest name that exists."""
        connection = self.connection
        try:
            with translated(f"cannot look up network {name!r}"):
                return Network(connection.networkLookupByName(name))
        except NotFound:
            raise not_found("network", name, [n.name for n in self.networks()]) from None

    def all_networks(self) -> list["Network"]:
        """Return every network."""
        connection = self.connection
        with translated("cannot list networks"):
            return [Network(handle) for handle in connection.listAllNetworks()]

    def define_network(self, xml: str) -> "Network":
        """Define a persistent network; raise Conflict when another one has its name."""
        connection = self.connection
        with translated("cannot define the network"):
            return Network(connection.networkDefineXML(xml))

    def pool(self, name: str) -> "Pool":
        """Look up a storage pool by name; raise NotFound with the nearest name that exists."""
        connection = self.connection
        try:
            with translated(f"cannot look up pool {name!r}"):
                return Pool(connection.storagePoolLookupByName(name))
        except NotFound:
            raise not_found("pool", name, self.pool_names()) from None

    def pool_names(self) -> list[str]:
        """Return the names of all storage pools, sorted."""
        return sorted(pool.name for pool in self.pools())

    def pools(self) -> list["Pool"]:
        """Return all storage pools."""
        connection = self.connection
        with translated("cannot list pools"):
            return [Pool(handle) for handle in connection.listAllStoragePools()]

    def define_pool(self, xml: str) -> "Pool":
        """Define a storage pool; raise Conflict when another one has its name."""
        connection = self.connection
        with translated("cannot define the pool"):
            return Pool(connection.storagePoolDefineXML(xml))

    def volume_at(self, path: str) -> "Volume":
        """Look up a volume by the path of its file or device; raise NotFound."""
        connection = self.connection
        with translated(f"cannot look up volume {path}"):
            return Volume(connection.storageVolLookupByPath(path))


def _state(stats: dict[str, int]) -> DomainState:
    return domain_state(stats["state.state"], stats["state.reason"])


def not_found(kind: str, name: str, known: Iterable[str]) -> NotFound:
    """Return the error for a name that does not exist, with the nearest one that does."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; 'shctl {kind}s list' shows all"
    return NotFound(f"no {kind} {name!r}{'' if kind == 'pool' and not near else hint}")
