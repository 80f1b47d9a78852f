"""Metrics for Prometheus."""

from collections import Counter as Count
from collections.abc import Iterable, Iterator, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shctl.common.errors import ShctlError
from shctl.common.output import fields
from shctl.common.states import PoolState
from shctl.common.status import PoolUse, Status
from shctl.common.text import clean
from shctl.hosts import installation, status
from shctl.hypervisor.connection import Hypervisor

_MIB, _GIB = 2**20, 2**30


class Metrics:
    """The server's metrics; not in the library's global registry, which tests would share."""

    media_type = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._registry = CollectorRegistry()
        # By route, not by path: clients could create any number of labels.
        self._requests = Counter(
            "shctl_requests", "Requests answered", ["method", "route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._durations = Histogram(
            "shctl_request_duration_seconds", "Time to answer", ["method", "route"],
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_HypervisorCollector(hypervisor))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a finished request; `route` is the path with its placeholders."""
        self._requests.labels(method, route, status).inc()
        self._durations.labels(method, route).observe(seconds)

    def text(self) -> str:
        """Return all metrics in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry).decode()


class _HypervisorCollector(Collector):
    """Collects the hypervisor's status and installations by outcome at each scrape."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges; if libvirt does not respond, only shctl_libvirt_up."""
        try:
            found = status.collect(self._hypervisor)
            phases = installation.count_phases(self._hypervisor)
        except ShctlError:
            return [GaugeMetricFamily("shctl_libvirt_up", "Whether libvirt responds", 0)]
        return [
            GaugeMetricFamily("shctl_libvirt_up", "Whether libvirt responds", 1),
            _gauge(
                "shctl_installs", "Hosts by the state of their installation", ["outcome"],
                [([phase], number) for phase, number in phases.items()],
            ),
            *_status(found),
        ]  # fmt: skip


def _status(found: Status) -> Iterator[GaugeMetricFamily]:
    """Yield the gauges of a status; a part that could not be read has none."""
    if found.hosts is not None:
        states = [([row.state], row.count) for row in found.hosts]
        yield _gauge("shctl_hosts", "Hosts by state", ["state"], states)
    if found.memory:
        sizes = [([kind], size * _MIB) for kind, size in fields(found.memory).items()]
        yield _gauge("shctl_memory_bytes", "Memory of the hypervisor", ["kind"], sizes)
    if found.cpus:
        numbers = [([kind], number) for kind, number in fields(found.cpus).items()]
        yield _gauge("shctl_cpus", "Processors of the hypervisor", ["kind"], numbers)
    yield from _pools(found.pools or ())
    if found.vlans is not None:
        tags = Count(row.bridge or "" for row in found.vlans)
        bridges = [([bridge], number) for bridge, number in tags.items()]
        yield _gauge("shctl_vlans", "VLANs in use", ["bridge"], bridges)
    versions = fields(found.versions)
    info = [text or "" for text in versions.values()]
    yield _gauge("shctl_info", "Versions of shctl and what it uses", [*versions], [(info, 1)])


def _pools(pools: Sequence[PoolUse]) -> Iterator[GaugeMetricFamily]:
    active = [([pool.name], pool.state == PoolState.ACTIVE) for pool in pools]
    yield _gauge("shctl_pool_active", "Whether a storage pool is active", ["pool"], active)
    sizes = [
        ([pool.name, kind], getattr(pool, kind) * _GIB)
        for pool in pools
        if pool.capacity is not None
        for kind in ("capacity", "allocation", "available")
    ]
    yield _gauge("shctl_pool_bytes", "Space of a storage pool", ["pool", "kind"], sizes)


def _gauge(
    name: str, text: str, labels: list[str], samples: Iterable[tuple[list[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in sorted(samples):
        # Names that other programs gave may contain what UTF-8 cannot encode.
        family.add_metric([clean(value) for value in values], number)
    return family
