"""The table of layouts and its matching."""

import pytest

from shctl.install.http.urls import is_inside
from shctl.install.layouts import (
    BOOTABLE,
    LAYOUTS,
    Layout,
    fill,
    find_archs,
    find_release,
    is_arch_in,
    is_marked,
)
from shctl.install.systems import SYSTEMS


@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
def test_rows_are_complete(layout: Layout) -> None:
    assert layout.kind
    assert layout.system in SYSTEMS
    assert bool(layout.marker) == bool(layout.pattern)
    for pair in layout.pairs:
        assert is_arch_in(pair) == any("{" in path for path in pair)
        assert all(is_inside(fill(path, arch, "24.04")) for path in pair for arch in BOOTABLE)


@pytest.mark.parametrize(
    ("line", "archs"),
    [
        ("/debian/installer-amd64/current", {"x86_64"}),
        ("boot/i586/loader", {"i386"}),
        ("amd64 and arm64", {"x86_64", "arm64"}),
        ("notamd64", set()),
        ("amd64x", set()),
        ("", set()),
    ],
)
def test_architectures_in_a_line(line: str, archs: set[str]) -> None:
    assert find_archs([line]) == archs


def test_marker_is_matched_line_by_line() -> None:
    layout = Layout("mageia", "mageia", (), "VERSION", "^Mageia ")
    assert is_marked(layout, ["x", "Mageia 9"])
    assert not is_marked(layout, ["x Mageia 9"])


def test_architecture_in_debians_and_rpm_words() -> None:
    assert fill("{deb}/linux", "x86_64", None) == "amd64/linux"
    assert fill("boot/{rpm}/linux", "x86_64", None) == "boot/x86_64/linux"


@pytest.mark.parametrize(
    ("path", "release"),
    [
        ("/24.04/netboot/amd64/", "24.04"),
        ("/alpine/v3.22/releases/x86_64/", "3.22"),
        ("/builds/42.20260101.3.0/x86_64/", "42.20260101.3.0"),
        ("/leap/15.6/updates/16.0/", "16.0"),
        ("/debian/dists/bookworm/", None),
        ("/12/", None),
        ("/1.2.3.4.5.6/", None),
    ],
)
def test_release_in_a_path(path: str, release: str | None) -> None:
    assert find_release(path) == release
