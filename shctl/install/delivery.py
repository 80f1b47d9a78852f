"""Deliver answers as the installer of a tree reads them: in its initrd or on a small CD."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from shctl.common.errors import InvalidInput
from shctl.install.answer_kinds import Kind, identify
from shctl.install.systems import CIDATA, UNKNOWN, Delivery, System, read_kinds, reader

# Files that cloud-init reads next to its user-data, by these names.
_COMPANIONS = ("meta-data", "network-config", "vendor-data")
_CLOUD_CONFIG = b"#cloud-config\n"
_KNOWN = ", ".join(kind.value for kind in Kind)


@dataclass(frozen=True)
class Delivered:
    """Files for the initrd, files for a CD labelled `label`, and arguments that name them."""

    initrd: Mapping[str, bytes] = field(default_factory=dict)
    cd: Mapping[str, bytes] = field(default_factory=dict)
    label: str = ""
    arguments: tuple[str, ...] = ()


def deliver(system: System, answers: Mapping[str, bytes], host: str) -> Delivered:
    """Return how a tree's installer gets answers, given as contents by the names of their files.

    Raise InvalidInput for answers of a kind that the installer does not read.
    """
    if not answers:
        return Delivered()
    name, content, delivery = _main(system, answers)
    more = {other: text for other, text in answers.items() if other != name}
    if not delivery.label:
        _refuse_more(more)
        return Delivered(initrd={delivery.file: content}, arguments=delivery.arguments)
    files = {delivery.file: content}
    if delivery.label == CIDATA:
        # cloud-init ignores user-data without this line; files for an ISO of Ubuntu lack it.
        if not content.startswith(_CLOUD_CONFIG.rstrip()):
            files[delivery.file] = _CLOUD_CONFIG + content
        files |= {"meta-data": _meta_data(host)} | _companions(more)
    else:
        _refuse_more(more)
    return Delivered(cd=files, label=delivery.label, arguments=delivery.arguments)


def _main(system: System, answers: Mapping[str, bytes]) -> tuple[str, bytes, Delivery]:
    """Return the name and content of the installer's own answers, and how they are delivered."""
    names = [name for name in answers if name not in _COMPANIONS]
    if not names:
        raise _refusal(f"only {', '.join(answers)}; user-data is missing")
    deliveries = [_delivery(system, name, answers[name]) for name in names]
    if len(names) > 1:
        raise _refusal(f"{' and '.join(names)} are both for the installer; give one of them")
    return names[0], answers[names[0]], deliveries[0]


def _delivery(system: System, name: str, content: bytes) -> Delivery:
    kind = identify(content)
    if kind is None:
        raise _refusal(
            f"cannot identify {name}: must be one of {_KNOWN}; use --inject for other files"
        )
    readers = _readers(system, kind).answers
    if kind not in readers:
        raise _unsuitable(system, name, kind)
    return readers[kind]


def _readers(system: System, kind: Kind) -> System:
    """Return the installer of a tree; of an unknown one, any that reads these answers."""
    return (reader(kind) or system) if system is UNKNOWN else system


def _unsuitable(system: System, name: str, kind: Kind) -> InvalidInput:
    if kind is Kind.CLOUD_CONFIG and Kind.AUTOINSTALL in system.answers:
        return _refusal(f"{name} has no section autoinstall, so the installer would ask questions")
    wanted = " or ".join(read_kinds(system))
    reads = f"reads {wanted}" if wanted else "reads no answers that shctl can deliver"
    return _refusal(f"{name} is {kind.value}, but the tree's installer, {system.name}, {reads}")


def _companions(more: Mapping[str, bytes]) -> dict[str, bytes]:
    _refuse_more({name: text for name, text in more.items() if name not in _COMPANIONS})
    return dict(more)


def _refuse_more(more: Mapping[str, bytes]) -> None:
    for name in more:
        raise _refusal(f"the installer does not read {name}; use --inject for other files")


def _meta_data(host: str) -> bytes:
    """Return cloud-init's meta-data; it configures a host again when the instance changes."""
    return f"instance-id: {host}-{secrets.token_hex(4)}\nlocal-hostname: {host}\n".encode()


def _refusal(reason: str) -> InvalidInput:
    return InvalidInput(f"answers: {reason}", field="answers")
