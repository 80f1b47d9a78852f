"""Rows of whole commands: lists, help and version."""

import sys
from functools import partial

from benchmarks import peers
from benchmarks.clock import Run, alternate, peak, process, processor, ratio, wall
from benchmarks.rack import SHCTL, URI, Rack
from benchmarks.table import Row, ms, times

VIRSH = ("virsh", "-c", URI, "list", "--all")
# What any Python program spends at least: the binding, a connection, one call for all hosts.
BARE = (
    sys.executable,
    "-c",
    f"import libvirt; libvirt.open({URI!r}).getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)",
)
CLICK = (sys.executable, "-c", "import click")
SMALL, MEDIUM, LARGE = 10, 100, 1000

Runs = dict[str, list[Run]]


def rows(rack: Rack) -> list[Row]:
    """Measure lists of 10, 100 and 1,000 hosts, help and version; leave 1,000 hosts."""
    lists = {}
    for count in (SMALL, MEDIUM, LARGE):
        rack.fill(count)
        lists[count] = _measure(count)
    return [
        *_few(lists[SMALL]),
        _compare_virsh(MEDIUM, lists[MEDIUM]),
        *_many(lists[LARGE]),
        _slope(lists),
        _compare_click("--help"),
        _compare_click("--version"),
    ]


def _measure(count: int) -> Runs:
    works = {"shctl": (SHCTL, "hosts", "list"), "bare": BARE, "virsh": VIRSH}
    works["short"] = (SHCTL, "-o", "json", "hosts", "list")
    if count == LARGE and (kcli := peers.program("kcli")):
        works["kcli"] = (kcli, "list", "vm")
    return alternate({name: partial(process, *argv) for name, argv in works.items()})


def _few(runs: Runs) -> list[Row]:
    spent = processor(runs["shctl"])
    return [
        _compare_virsh(SMALL, runs, limit=3),
        Row(
            f"the same, {SMALL} hosts, processor time",
            ms(spent), f"virsh {ms(processor(runs['virsh']))}", ms(processor(runs["bare"])), "",
            "at most 60 ms", spent <= 0.060,
        ),
    ]  # fmt: skip


def _compare_virsh(count: int, runs: Runs, limit: float | None = None) -> Row:
    found = ratio(runs["shctl"], runs["virsh"])
    return Row(
        f"`shctl hosts list`, {count:,} hosts, whole process",
        ms(wall(runs["shctl"])), f"virsh {ms(wall(runs['virsh']))}", ms(wall(runs["bare"])),
        times(found), f"at most {limit:g} times virsh" if limit else "",
        None if limit is None else found <= limit, peak(runs["shctl"]),
    )  # fmt: skip


def _many(runs: Runs) -> list[Row]:
    rows = [_compare_virsh(LARGE, runs, limit=1)]
    work, goal = f"the same, {LARGE:,} hosts", "at most 0.15 times kcli"
    if "kcli" not in runs:
        return [*rows, Row(work, "", peers.reason("kcli"), "", "", goal, None)]
    found = ratio(runs["shctl"], runs["kcli"])
    other = f"kcli {ms(wall(runs['kcli']))}"
    own, bare = ms(wall(runs["shctl"])), ms(wall(runs["bare"]))
    return [*rows, Row(work, own, other, bare, times(found), goal, found <= 0.15)]


def _slope(lists: dict[int, Runs]) -> Row:
    """Return what one more host costs, in processor time, which others disturb less."""
    own, bare = (_each(lists, name) for name in ("short", "bare"))
    return Row(
        f"one more host in a list as JSON, from {SMALL} to {LARGE:,}",
        _micro(own), "", _micro(bare), "",
        "at most 10 µs over the bare call", own - bare <= 10e-6,
    )  # fmt: skip


def _each(lists: dict[int, Runs], name: str) -> float:
    return (processor(lists[LARGE][name]) - processor(lists[SMALL][name])) / (LARGE - SMALL)


def _micro(seconds: float) -> str:
    return f"{1e6 * seconds:.1f} µs"


def _compare_click(option: str) -> Row:
    works = {"shctl": partial(process, SHCTL, option), "click": partial(process, *CLICK)}
    runs = alternate(works, rounds=21)
    found = ratio(runs["shctl"], runs["click"])
    return Row(
        f"`shctl {option}`", ms(wall(runs["shctl"])), f"`import click` {ms(wall(runs['click']))}",
        "", times(found), "at most 1.2 times click alone", found <= 1.2, peak(runs["shctl"]),
    )  # fmt: skip
