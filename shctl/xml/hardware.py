"""Read memory, processors, the serial console and the screen from a domain's XML; pure, no I/O."""

from lxml import etree

KIB, MIB = 2**10, 2**20
MAX_PORT = 65535
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}


def size(element: etree._Element | None, default: str = "KiB") -> int | None:
    """Return a size in bytes, None without one; `default` is the unit if none is given.

    libvirt takes b, bytes, KB, k, KiB, MB, M, MiB and so on, in any case (virScaleInteger).
    """
    text = (element.text or "").strip() if element is not None else ""
    if element is None or not (text.isascii() and text.isdigit()):
        return None
    factor = _factor((element.get("unit") or default).lower())
    return None if factor is None else int(text) * factor


def _factor(unit: str) -> int | None:
    if unit in ("b", "byte", "bytes"):
        return 1
    power, base = _POWERS.get(unit[:1]), {"": 1024, "ib": 1024, "b": 1000}.get(unit[1:])
    return None if power is None or base is None else base**power


def memory(domain: etree._Element) -> tuple[int, int]:
    """Return the current and the maximum memory of a domain, in MiB."""
    most = size(domain.find("memory")) or 0
    current = size(domain.find("currentMemory"))
    return (most if current is None else current) // MIB, most // MIB


def cpus(domain: etree._Element) -> tuple[int, int]:
    """Return the current and the maximum number of processors of a domain."""
    vcpu = domain.find("vcpu")
    most = "1" if vcpu is None else (vcpu.text or "1").strip()
    current = most if vcpu is None else vcpu.get("current", most)
    return int(current), int(most)


def console_log(domain: etree._Element) -> str | None:
    """Return the path of the log of the first console that has one."""
    for kind in ("serial", "console"):
        for device in domain.iterfind(f"devices/{kind}"):
            log, source = device.find("log"), device.find("source")
            if log is not None and log.get("file"):
                return log.get("file")
            if device.get("type") == "file" and source is not None and source.get("path"):
                return source.get("path")
    return None


def vnc(domain: etree._Element) -> str | None:
    """Return the address of the first VNC server on a TCP port, as host:port."""
    for graphics in domain.iterfind("devices/graphics[@type='vnc']"):
        port = graphics.get("port", "")
        if port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT:
            listen = graphics.find("listen[@address]")
            host = graphics.get("listen") if listen is None else listen.get("address")
            host = host or "127.0.0.1"  # libvirt's default, see vnc_listen in qemu.conf
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return None
