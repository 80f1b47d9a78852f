"""Domains are read once per command, and again when they may have changed."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from shctl.common.errors import NotFound
from shctl.hypervisor import definitions
from shctl.hypervisor.definitions import Definitions


class Domain:
    """A domain that records what is read from it."""

    def __init__(self, uuid: str) -> None:
        self.uuid, self.name, self.hung, self.calls = uuid, uuid, False, list[str]()

    def xml(self, *, stored: bool = False) -> str:
        self.calls.append("stored" if stored else "running")
        return f"<domain>{self.calls[-1]}</domain>"

    def saved_xml(self) -> str:
        self.calls.append("saved")
        return "<domain>saved</domain>"

    def snapshots(self) -> list[str]:
        self.calls.append("snapshots")
        return ["<domainsnapshot/>"]


class Hypervisor:
    """Two domains, inactive until a test changes that."""

    def __init__(self) -> None:
        self.list = [Domain("a"), Domain("b")]
        self.active, self.saved, self.snapshots = set[str](), set[str](), set[str]()

    def domains(self) -> list[Domain]:
        return [*self.list]

    def active_uuids(self) -> set[str]:
        return self.active

    def saved_uuids(self) -> set[str]:
        return self.saved

    def snapshot_uuids(self) -> set[str]:
        return self.snapshots

    def calls(self) -> dict[str, list[str]]:
        """Return what has been read since the last call."""
        found = {domain.uuid: domain.calls for domain in self.list if domain.calls}
        for domain in self.list:
            domain.calls = []
        return found


@pytest.fixture
def hypervisor() -> Any:
    return Hypervisor()


@pytest.fixture
def known(hypervisor: Any, monkeypatch: pytest.MonkeyPatch) -> Definitions:
    """Return definitions of two domains that have been read once, and are good for 0.5 s."""
    monkeypatch.setattr(definitions, "AGE_PER_DOMAIN", 0.25)
    found = Definitions(hypervisor)
    found.all()
    assert hypervisor.calls() == {"a": ["stored"], "b": ["stored"]}
    return found


def test_unchanged_domain_is_read_once(hypervisor: Any, known: Definitions) -> None:
    assert known.all()[0] is known.all()[0]
    assert hypervisor.calls() == {}


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("active", ["stored", "running"]),
        ("saved", ["stored", "saved"]),
        ("snapshots", ["stored", "snapshots"]),
    ],
)
def test_domain_that_changed_state_is_read_again(
    kind: str, calls: list[str], hypervisor: Any, known: Definitions
) -> None:
    setattr(hypervisor, kind, {"b"})
    known.all()
    assert hypervisor.calls() == {"b": calls}


def test_outdated_domain_is_read_again(
    hypervisor: Any, known: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.monotonic() + 1
    monkeypatch.setattr(definitions, "time", SimpleNamespace(monotonic=lambda: later))
    known.all()
    assert hypervisor.calls() == {"a": ["stored"], "b": ["stored"]}


def test_forgotten_domain_is_read_again(hypervisor: Any, known: Definitions) -> None:
    known.forget("b")
    known.forget("gone")
    known.all()
    assert hypervisor.calls() == {"b": ["stored"]}


def test_new_and_deleted_domains(hypervisor: Any, known: Definitions) -> None:
    hypervisor.list[0] = Domain("c")
    assert [definition.host.uuid for definition in known.all()] == ["c", "b"]
    assert hypervisor.calls() == {"c": ["stored"]}


def test_domain_deleted_during_the_read_is_omitted(hypervisor: Any) -> None:
    def fail(**_: bool) -> str:
        raise NotFound("no host 'a'")

    hypervisor.list[0].xml = fail
    assert [definition.host.uuid for definition in Definitions(hypervisor).all()] == ["b"]


def test_hung_domain_is_not_read(hypervisor: Any) -> None:
    hypervisor.active = {"a"}
    hypervisor.list[0].hung = True
    first, _ = Definitions(hypervisor).all()
    assert (first.hung, first.texts) == (True, ())
    assert hypervisor.calls() == {"b": ["stored"]}
