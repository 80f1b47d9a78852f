"""libvirt's state and reason codes as names."""

import json

import libvirt
import pytest

from shctl.common.states import DomainState, Reason
from shctl.hypervisor.state_names import domain_state, reason_name


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (libvirt.VIR_DOMAIN_NOSTATE, DomainState.NO_STATE),
        (libvirt.VIR_DOMAIN_RUNNING, DomainState.RUNNING),
        (libvirt.VIR_DOMAIN_BLOCKED, DomainState.IDLE),
        (libvirt.VIR_DOMAIN_PAUSED, DomainState.PAUSED),
        (libvirt.VIR_DOMAIN_SHUTDOWN, DomainState.IN_SHUTDOWN),
        (libvirt.VIR_DOMAIN_SHUTOFF, DomainState.SHUT_OFF),
        (libvirt.VIR_DOMAIN_CRASHED, DomainState.CRASHED),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, DomainState.PMSUSPENDED),
    ],
)
def test_states(number: int, state: DomainState) -> None:
    assert domain_state(number, 0) is state
    assert reason_name(number, 0) is None


def test_a_killed_qemu_has_crashed() -> None:
    number, why = libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED
    assert domain_state(number, why) is DomainState.CRASHED


@pytest.mark.parametrize(
    ("state", "number", "reason"),
    [
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, Reason.IO_ERROR),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_WATCHDOG, Reason.WATCHDOG),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, Reason.SHUTDOWN),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED, Reason.DESTROYED),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED, Reason.FAILED),
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED, Reason.PANICKED),
    ],
)
def test_reasons(state: int, number: int, reason: Reason) -> None:
    assert reason_name(state, number) == reason


def test_a_reason_of_a_newer_libvirt_is_unknown() -> None:
    assert reason_name(libvirt.VIR_DOMAIN_RUNNING, 1000) is None


def test_states_are_plain_words_in_text_and_json() -> None:
    assert f"{DomainState.SHUT_OFF}" == "shut off"
    assert json.dumps({"state": DomainState.SHUT_OFF}) == '{"state": "shut off"}'
