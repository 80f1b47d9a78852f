"""Numbers for Prometheus."""

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
    """What is counted, in a registry of its own."""

    media_type = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "shctl_requests", "Requests answered", ["method", "route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._durations = Histogram(
            "shctl_request_duration_seconds", "Time to answer", ["method", "route"],
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_Rack(hypervisor))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered; `route` is the path with its placeholders."""
        self._requests.labels(method, route, status).inc()
        self._durations.labels(method, route).observe(seconds)

    def text(self) -> str:
        """Return all numbers as Prometheus reads them."""
        return prometheus_client.generate_latest(self._registry).decode()


class _Rack(Collector):
    """Hosts by state and installations by outcome, looked up when they are asked for."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges; without libvirt only that it does not answer."""
        try:
            states = Count(host.state for host in self._hypervisor.hosts())
            phases = installation.count_phases(self._hypervisor)
        except ShctlError:
            return [GaugeMetricFamily("shctl_libvirt_up", "Whether libvirt answers", 0)]
        return [
            GaugeMetricFamily("shctl_libvirt_up", "Whether libvirt answers", 1),
            _gauge("shctl_hosts", "Hosts by state", "state", states),
            _gauge("shctl_installs", "Hosts by how their installation went", "outcome", phases),
        ]


def _gauge(name: str, text: str, label: str, numbers: Count[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in sorted(numbers.items()):
        family.add_metric([value], number)
    return family
