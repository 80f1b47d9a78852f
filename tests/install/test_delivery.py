"""How answers reach the installer of each kind of tree."""

import pytest

from shctl.common.errors import InvalidInput
from shctl.install.answer_kinds import Kind
from shctl.install.delivery import deliver
from shctl.install.systems import SYSTEMS, UNKNOWN
from tests.install.test_answer_kinds import EXAMPLES

TEXTS = {kind: texts[0].encode() for kind, texts in EXAMPLES.items()}


@pytest.mark.parametrize(
    ("system", "kind", "file", "arguments"),
    [
        ("debian-installer", Kind.PRESEED, "preseed.cfg", ("auto=true", "priority=critical")),
        ("ubuntu-installer", Kind.PRESEED, "preseed.cfg", ("auto=true", "priority=critical")),
        ("anaconda", Kind.KICKSTART, "ks.cfg", ("inst.ks=file:/ks.cfg", "inst.text")),
        ("anaconda-6", Kind.KICKSTART, "ks.cfg", ("ks=file:/ks.cfg",)),
        ("yast", Kind.AUTOYAST, "autoinst.xml", ("autoyast=file:///autoinst.xml",)),
        (
            "coreos", Kind.IGNITION, "config.ign",
            ("ignition.firstboot", "ignition.platform.id=metal"),
        ),
        (
            "flatcar", Kind.IGNITION, "usr/share/oem/config.ign",
            ("ignition.config.url=oem:///config.ign",),
        ),
        ("unknown", Kind.KICKSTART, "ks.cfg", ("inst.ks=file:/ks.cfg", "inst.text")),
    ],
)  # fmt: skip
def test_in_the_initrd(system: str, kind: Kind, file: str, arguments: tuple[str, ...]) -> None:
    found = deliver(SYSTEMS[system], {"my": TEXTS[kind]}, "web1")
    assert (dict(found.initrd), dict(found.cd)) == ({file: TEXTS[kind]}, {})
    assert found.arguments == arguments


def test_autoinstall_is_on_a_cd_for_cloud_init() -> None:
    found = deliver(SYSTEMS["subiquity"], {"my": b"autoinstall:\n  version: 1\n"}, "web1")
    assert (found.label, found.arguments, dict(found.initrd)) == ("CIDATA", ("autoinstall",), {})
    assert found.cd["user-data"] == b"#cloud-config\nautoinstall:\n  version: 1\n"
    first, second = found.cd["meta-data"].splitlines()
    assert first.startswith(b"instance-id: web1-")
    assert second == b"local-hostname: web1"
    again = deliver(SYSTEMS["subiquity"], {"my": found.cd["user-data"]}, "web1")
    assert again.cd["user-data"] == found.cd["user-data"]
    assert again.cd["meta-data"] != found.cd["meta-data"]  # so that it configures the host again


def test_companions_of_user_data() -> None:
    files = {"user-data": TEXTS[Kind.AUTOINSTALL], "network-config": b"n", "meta-data": b"m"}
    found = deliver(SYSTEMS["subiquity"], files, "web1")
    assert dict(found.cd) == files


def test_agama_is_on_a_cd() -> None:
    found = deliver(SYSTEMS["agama"], {"profile.json": TEXTS[Kind.AGAMA]}, "web1")
    assert (found.label, dict(found.cd)) == ("OEMDRV", {"autoinst.json": TEXTS[Kind.AGAMA]})


def test_none() -> None:
    found = deliver(UNKNOWN, {}, "web1")
    assert (dict(found.initrd), dict(found.cd), found.arguments) == ({}, {}, ())


@pytest.mark.parametrize(
    ("system", "answers", "words"),
    [
        ("anaconda", {"a": TEXTS[Kind.PRESEED]}, "a is preseed, but the tree's installer, anaconda,"
         " reads kickstart"),
        ("subiquity", {"a": TEXTS[Kind.CLOUD_CONFIG]}, "a has no section autoinstall"),
        ("archiso", {"a": TEXTS[Kind.ALPINE]}, "reads no answers that shctl can deliver"),
        ("unknown", {"a": TEXTS[Kind.ALPINE]}, "reads no answers that shctl can deliver"),
        ("anaconda", {"a": b"hello"}, "cannot identify a: must be one of preseed, kickstart"),
        ("anaconda", {"a": TEXTS[Kind.KICKSTART], "b": TEXTS[Kind.KICKSTART]}, "a and b are both"),
        ("anaconda", {"a": TEXTS[Kind.KICKSTART], "meta-data": b""}, "does not read meta-data"),
        ("subiquity", {"meta-data": b""}, "only meta-data; user-data is missing"),
    ],
)  # fmt: skip
def test_refused(system: str, answers: dict[str, bytes], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        deliver(SYSTEMS[system], answers, "web1")
    assert (caught.value.field, words in caught.value.detail) == ("answers", True), caught.value
