"""Metrics for Prometheus."""

from collections import Counter as Count
from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shctl.common.errors import ShctlError
from shctl.hosts import installation
from shctl.hypervisor.connection import Hypervisor


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
    """Collects hosts by state and installations by outcome at each scrape."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges; if libvirt does not respond, only shctl_libvirt_up."""
        try:
            states = Count(host.state for host in self._hypervisor.hosts())
            phases = installation.count_phases(self._hypervisor)
        except ShctlError:
            return [GaugeMetricFamily("shctl_libvirt_up", "Whether libvirt responds", 0)]
        return [
            GaugeMetricFamily("shctl_libvirt_up", "Whether libvirt responds", 1),
            _gauge("shctl_hosts", "Hosts by state", "state", states),
            _gauge("shctl_installs", "Hosts by the state of their installation", "outcome", phases),
        ]


def _gauge(name: str, text: str, label: str, numbers: Count[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family
