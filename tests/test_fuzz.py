"""Random names and values, on the command line and through libvirt's XML."""

import json
from datetime import datetime

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shctl.cli.main import root
from shctl.common import names
from shctl.common.errors import InvalidInput
from shctl.xml import domain, metadata, network
from shctl.xml.disk_device import Source
from shctl.xml.domain import Installer
from shctl.xml.metadata import Installation, Metadata, OwnedVolume
from tests.scoreboard import REFUSED, Figures, rounds
from tests.support import connected, prepare

pytestmark = pytest.mark.hypervisor

LIMITS = settings(
    max_examples=rounds(1000, 60), deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
TEXT = st.text(
    st.characters(blacklist_categories=["C", "Z"], whitelist_characters=" "), max_size=40
)
# What libvirt accepts as a bridge or a path; it strips blanks and refuses empty values.
WORD = st.text("abcxyzABC019._-&<>'\"é", min_size=1, max_size=12)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
NETWORK = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True)
TAGS = st.integers(1, 4094)
TIME = st.datetimes(min_value=datetime(1000, 1, 1)).map(lambda t: f"{t:%Y-%m-%dT%H:%M:%SZ}")
INSTALL = st.builds(
    Installation,
    phase=st.sampled_from(["installing", "finishing", "installed", "failed"]),
    started=TIME, deadline=TIME, location=st.none() | TEXT, reason=st.none() | TEXT,
)  # fmt: skip
METADATA = st.builds(
    Metadata,
    created=TIME,
    complete=st.booleans(),
    volumes=st.lists(st.builds(OwnedVolume, WORD, WORD), max_size=3, unique=True).map(tuple),
    paths=st.lists(WORD, max_size=2, unique=True).map(tuple),
    install=st.none() | INSTALL,
)
SPECS = st.builds(
    domain.Spec,
    name=HOST,
    hardware=st.builds(
        domain.Hardware,
        st.integers(16, 2**20),
        st.integers(1, 255),
        st.just("bios"),
        st.just("qemu"),
    ),
    networks=st.lists(NETWORK, max_size=4).map(tuple),
    disks=st.lists(WORD.map(lambda word: Source(f"/v/{word}")), max_size=4).map(tuple),
    console=HOST.map(lambda host: f"/var/log/{host}.log"),
    metadata=METADATA,
    installer=st.none() | st.builds(Installer, st.just("/k"), st.just("/i"), TEXT),
)
TRUNKS = st.builds(
    network.Spec, NETWORK, WORD, TAGS, st.lists(TAGS, max_size=5, unique=True).map(tuple)
).filter(lambda spec: spec.vlan not in spec.trunk)


@pytest.mark.usefixtures("signal_handlers")
@pytest.mark.parametrize(
    "words",
    [
        "hosts show", "hosts start", "hosts delete --yes",
        "hosts create --memory 64 --disk 1 --network",
        "networks show", "networks delete --yes", "networks create --vlan 7 x --bridge",
    ],
)  # fmt: skip
def test_r32_names_of_any_kind(words: str, figures: Figures) -> None:
    prepare()

    @LIMITS
    @given(st.text(max_size=30))
    def refused(name: str) -> None:
        option = words.endswith(("--network", "--bridge"))
        line = [*words.split(), name, *(["web1"] if "--network" in words else [])]
        done = CliRunner().invoke(
            root, ["-o", "json", *(line if option else [*line[:-1], "--", name])]
        )
        assert done.exit_code in (2, 3), (name, done.output)
        assert json.loads(done.output.splitlines()[-1])["detail"]
        figures.share(REFUSED, 1, 1)

    refused()


@given(st.text(max_size=60))
def test_valid_host_names_are_valid_in_dns(name: str) -> None:
    try:
        names.check_host(name)
    except InvalidInput:
        return
    assert name == name.encode("idna").decode()
    assert len(name) <= names.MAX_LENGTH


def facts(info: domain.DomainInfo) -> tuple[object, ...]:
    return info.memory, info.cpus, info.installer, info.console, info.metadata


def expected(spec: domain.Spec) -> tuple[object, ...]:
    hardware, boots_installer = spec.hardware, spec.installer is not None
    return hardware.memory, hardware.cpus, boots_installer, spec.console, spec.metadata


@given(SPECS)
def test_host_round_trip_through_xml(spec: domain.Spec) -> None:
    info = domain.read(domain.build(spec))
    assert facts(info)[1:] == expected(spec)[1:]  # libvirt converts memory to KiB
    assert [row.path for row in info.disks] == [source.path for source in spec.disks]
    assert [row.network for row in info.interfaces] == list(spec.networks)
    assert [row.mac for row in info.interfaces] == [
        names.mac(spec.name, index) for index in range(len(spec.networks))
    ]


def test_host_round_trip_through_libvirt() -> None:
    """Defined, with other metadata written into it, and read as it is stored."""
    with connected() as connection:

        @LIMITS
        @given(SPECS, METADATA)
        def comes_back(spec: domain.Spec, later: Metadata) -> None:
            handle = connection.defineXML(domain.build(spec))
            try:
                info = domain.read(handle.XMLDesc(2))
                assert facts(info) == expected(spec)
                assert [row.path for row in info.disks] == [source.path for source in spec.disks]
                handle.setMetadata(2, metadata.text(later), metadata.KEY, metadata.URI, 2)
                assert domain.read(handle.XMLDesc(2)).metadata == later
            finally:
                handle.undefine()

        comes_back()


def test_network_round_trip_through_libvirt() -> None:
    with connected() as connection:

        @LIMITS
        @given(TRUNKS)
        def comes_back(spec: network.Spec) -> None:
            expected = network.NetworkInfo(
                spec.bridge, spec.vlan, tuple(sorted(spec.trunk)), switched=True
            )
            assert network.read(network.build(spec)) == expected
            handle = connection.networkDefineXML(network.build(spec))
            try:
                assert network.read(handle.XMLDesc()) == expected
            finally:
                handle.undefine()

        comes_back()
