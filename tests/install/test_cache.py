"""The cache of kernels and initrds: validated, limited in size, shared, never outdated."""

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shctl.common.errors import Conflict, InstallFailed
from shctl.install.cache import TAG, Cache, key_of
from shctl.install.checksums import parse_checksum
from shctl.install.fetch import TreeClient
from shctl.install.http.limits import Limits
from tests.install import treeserver
from tests.install.conftest import QUICK
from tests.install.treeserver import KERNEL, TreeServer, make_kernel

LATER = 2_000_000_000


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache" / "trees")


def take(cache: Cache, url: str, *, kernel: bool = False) -> bytes:
    with TreeClient(Limits(stall=0.5)) as client, cache.borrow(client, url, kernel=kernel) as path:
        return path.read_bytes()


def statuses(server: TreeServer) -> list[int]:
    return [status for _, _, _, status in server.requests]


def data_path(cache: Cache, url: str) -> Path:
    return cache.directory / f"{key_of(url)}.data"


def test_second_borrow_transfers_no_kernel_bytes(server: TreeServer, cache: Cache) -> None:
    url = f"{server.url}/kernel"
    assert take(cache, url, kernel=True) == KERNEL
    assert take(cache, url, kernel=True) == KERNEL
    assert statuses(server) == [200, 304]
    assert server.sent["/kernel"] == len(KERNEL)


def test_changed_file_is_fetched_again(server: TreeServer, cache: Cache) -> None:
    url = f"{server.url}/kernel"
    take(cache, url)
    server.files["/kernel"] = make_kernel(b"newer")
    assert take(cache, url) == make_kernel(b"newer")
    assert [entry.valid for entry in cache.entries()] == [True]


def test_no_caching_without_validators(server: TreeServer, cache: Cache) -> None:
    server.validators = False
    url = f"{server.url}/kernel"
    assert [take(cache, url), take(cache, url)] == [KERNEL, KERNEL]
    assert statuses(server) == [200, 200]


def test_last_modified_is_sufficient(server: TreeServer, cache: Cache) -> None:
    stamp = "Sat, 01 Jun 2024 00:00:00 GMT"

    def answer(handler: treeserver.Handler) -> None:
        if handler.headers.get("If-Modified-Since") == stamp:
            handler.answer(304)
        else:
            handler.answer(200, KERNEL, {"Last-Modified": stamp})

    server.modes["/kernel"] = answer
    for _ in range(2):
        assert take(cache, f"{server.url}/kernel") == KERNEL
    assert statuses(server) == [200, 304]


def test_unreachable_server_is_an_error_despite_cached_data(cache: Cache) -> None:
    with treeserver.running() as server:
        server.files["/kernel"] = KERNEL
        url = f"{server.url}/kernel"
        take(cache, url)
    with pytest.raises(InstallFailed):
        take(cache, url)
    assert [entry.valid for entry in cache.entries()] == [True]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "short data": lambda data: data.write_bytes(KERNEL[:100]),
    "other bytes": lambda data: data.write_bytes(KERNEL[::-1]),
    "no data": lambda data: data.unlink(),
    "no sidecar": lambda data: data.with_suffix(".json").unlink(),
    "torn sidecar": lambda data: data.with_suffix(".json").write_text('{"url": "ht'),
    "sidecar of another kind": lambda data: data.with_suffix(".json").write_text("[1]"),
    "null sidecar": lambda data: data.with_suffix(".json").write_text("null"),
    "odd validators": lambda data: data.with_suffix(".json").write_text(
        json.dumps({"url": "", "received": {"length": 6518, "sha256": "", "etag": 5}})
    ),
}


OTHER = 64055  # QEMU's user on Debian


def give_another_name(path: Path) -> None:
    os.link(path, path.parent.parent / "other")


def put_a_link(path: Path) -> None:
    """Replace the entry by a symbolic link to a file with the same content."""
    path.rename(path.parent.parent / "other")
    path.symlink_to(path.parent.parent / "other")


CHANGES: dict[str, Callable[[Path], object]] = {
    "owner": lambda data: os.chown(data, OTHER, OTHER),
    "mode for others": lambda data: data.chmod(0o666),
    "mode for the owner": lambda data: data.chmod(0o600),
    "setuid": lambda data: data.chmod(0o4644),
    "hard link": give_another_name,
    "symbolic link": put_a_link,
    "owner of the sidecar": lambda data: os.chown(data.with_suffix(".json"), OTHER, OTHER),
    "hard link of the sidecar": lambda data: give_another_name(data.with_suffix(".json")),
}


@pytest.mark.hypervisor
@pytest.mark.parametrize("change", CHANGES)
def test_r54_changed_entry_is_fetched_again(change: str, server: TreeServer, cache: Cache) -> None:
    url = f"{server.url}/kernel"
    take(cache, url)
    assert cache.changed() == []
    CHANGES[change](data_path(cache, url))
    assert cache.changed() == [data_path(cache, url)]
    assert [entry.valid for entry in cache.entries()] == [False]
    before = other_name(cache)
    assert take(cache, url) == KERNEL
    assert statuses(server) == [200, 200]
    assert (cache.changed(), cache.leftovers()) == ([], [])
    assert other_name(cache) == before


def other_name(cache: Cache) -> tuple[bytes, int] | None:
    """Return the content and owner of the other name."""
    path = cache.directory.parent / "other"
    return (path.read_bytes(), path.stat().st_uid) if path.exists() else None


@pytest.mark.hypervisor
@pytest.mark.parametrize("change", CHANGES)
def test_r54_changed_entry_is_removed(change: str, server: TreeServer, cache: Cache) -> None:
    for act in (
        lambda path: cache.forget(path),
        lambda _: Cache(cache.directory, max_entries=0).prune(),
    ):
        url = f"{server.url}/kernel"
        take(cache, url)
        (cache.directory.parent / "other").unlink(missing_ok=True)
        CHANGES[change](data_path(cache, url))
        before = other_name(cache)
        act(data_path(cache, url))
        assert (cache.entries(), cache.leftovers()) == ([], [])
        assert other_name(cache) == before


def test_unchanged_entry_is_kept(server: TreeServer, cache: Cache) -> None:
    take(cache, f"{server.url}/kernel")
    cache.forget(data_path(cache, f"{server.url}/kernel"))
    assert [entry.valid for entry in cache.entries()] == [True]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entry_is_fetched_again(damage: str, server: TreeServer, cache: Cache) -> None:
    url = f"{server.url}/kernel"
    take(cache, url)
    DAMAGE[damage](data_path(cache, url))
    assert take(cache, url) == KERNEL
    assert statuses(server) == [200, 200]
    assert cache.leftovers() == []


def test_published_checksum_overrides_the_entry(server: TreeServer, cache: Cache) -> None:
    url = f"{server.url}/kernel"
    take(cache, url)
    other = parse_checksum("sha1:" + "0" * 40)
    with (
        TreeClient() as client,
        pytest.raises(InstallFailed, match="its sha1 differs"),
        cache.borrow(client, url, checksum=other),
    ):
        pass
    assert cache.entries() == []


def fill(cache: Cache, server: TreeServer, names: str) -> list[Path]:
    """Cache a file for each name, least recently used first."""
    paths = []
    for at, name in enumerate(names):
        server.files[f"/{name}"] = make_kernel(name.encode())
        take(cache, f"{server.url}/{name}")
        paths.append(data_path(cache, f"{server.url}/{name}"))
        os.utime(paths[-1], (at, at))
    return paths


def test_number_of_entries_is_limited(server: TreeServer, tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_entries=2)
    fill(cache, server, "abcd")
    assert [entry.url for entry in cache.entries()] == [f"{server.url}/d", f"{server.url}/c"]
    assert cache.leftovers() == []


def test_size_of_the_cache_is_limited(server: TreeServer, tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_bytes=len(KERNEL) * 2)
    paths = fill(cache, server, "abc")
    assert sorted(entry.path for entry in cache.entries()) == sorted(paths[1:])


def test_entries_in_use_are_kept(server: TreeServer, tmp_path: Path) -> None:
    wide, narrow = Cache(tmp_path), Cache(tmp_path, max_entries=0)
    kept, borrowed, fetched, idle = fill(wide, server, "abcd")
    with TreeClient() as client, wide.borrow(client, f"{server.url}/b"), wide._locked(fetched):
        removed = narrow.prune({kept})
    left = {entry.path for entry in wide.entries()}
    assert {kept, borrowed, fetched} <= left
    assert removed == [idle]
    assert kept not in narrow.prune({kept})
    assert {entry.path for entry in wide.entries()} == {kept}


def test_last_use_is_recorded(server: TreeServer, tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_entries=2)
    fill(cache, server, "ab")
    take(cache, f"{server.url}/a")
    fill(cache, server, "c")
    assert {entry.url[-1] for entry in cache.entries()} == {"a", "c"}


def borrow_often(directory: str, url: str, contents: list[bytes]) -> None:
    cache = Cache(Path(directory), max_entries=1)
    for _ in range(10):
        for name in "xyz":
            assert take(cache, f"{url}/{name}") in contents


@pytest.mark.hypervisor
def test_many_processes_at_once(server: TreeServer, tmp_path: Path) -> None:
    """Four processes compete for a cache with room for one entry; each borrows complete files."""
    contents = [make_kernel(name) for name in (b"x", b"y", b"z")]
    server.files |= {f"/{name}": make_kernel(name.encode()) for name in "xyz"}
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path), server.url, contents)
    workers = [context.Process(target=borrow_often, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        worker.close() if worker.exitcode == 0 else pytest.fail(f"{worker} failed")
    cache = Cache(tmp_path, max_entries=1)
    cache.prune()
    assert [entry.valid for entry in cache.entries()] == [True]
    assert cache.leftovers() == []


def secret_url(server: TreeServer) -> str:
    return server.url.replace("//", "//user:secret@") + "/kernel"


def during_a_download(cache: Cache, server: TreeServer, act: Callable[[], object]) -> None:
    """Call a function during the download of the kernel."""
    acted: list[object] = []

    def progress(done: int, total: int | None) -> None:
        acted.append(act())

    with (
        TreeClient() as client,
        cache.borrow(client, secret_url(server), progress=progress) as path,
    ):
        assert path.read_bytes() == KERNEL
    assert acted


def test_downloads_do_not_wait_for_each_other(server: TreeServer, cache: Cache) -> None:
    """Even if their keys have a common prefix."""
    digit = key_of(secret_url(server))[0]
    other = next(url for i in range(1000) if key_of(url := f"{server.url}/{i}")[0] == digit)
    server.files[other.removeprefix(server.url)] = make_kernel(b"other")
    during_a_download(cache, server, lambda: take(cache, other))
    assert {entry.url for entry in cache.entries()} > {other}


def test_wait_for_the_same_download_is_limited(server: TreeServer, cache: Cache) -> None:
    words = (
        f"^another shctl process is working on {server.url.replace('//', '//[*]{3}@')}/kernel; try"
    )

    def fetch_too() -> None:
        with (
            pytest.raises(Conflict, match=words),
            TreeClient(QUICK) as client,
            cache.borrow(client, secret_url(server)),
        ):
            pytest.fail("two at once")

    during_a_download(cache, server, fetch_too)
    assert statuses(server) == [200]


def test_leftovers(server: TreeServer, cache: Cache) -> None:
    assert cache.leftovers() == []
    assert cache.remove_leftovers() == []
    take(cache, f"{server.url}/kernel")
    names = [f".{'a' * 64}.data.x1.part", f"{'b' * 64}.data", f"{'c' * 64}.json", "notes.txt"]
    for name in names:
        (cache.directory / name).write_bytes(b"x")
    (cache.directory / "directory").mkdir()
    left = [path.name for path in cache.leftovers()]
    assert left == sorted([*names, "directory"])
    assert {entry.url[-7:]: entry.valid for entry in cache.entries()} == {
        "/kernel": True,
        "": False,
    }
    assert [path.name for path in cache.remove_leftovers()] == sorted(names[:-1])
    assert [path.name for path in cache.leftovers()] == ["directory", "notes.txt"]
    assert take(cache, f"{server.url}/kernel") == KERNEL
    assert statuses(server) == [200, 304]


def test_file_being_written_is_not_a_leftover(server: TreeServer, cache: Cache) -> None:
    seen: list[list[Path]] = []
    url = f"{server.url}/kernel"

    def check(done: int, total: int | None) -> None:
        assert list(cache.directory.glob(".*.part"))
        seen.append(cache.remove_leftovers())

    with TreeClient() as client, cache.borrow(client, url, progress=check) as path:
        assert path.read_bytes() == KERNEL
    assert seen == [[]]


def test_foreign_file_in_the_cache_is_kept(server: TreeServer, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root")
    cache = Cache(tmp_path)
    take(cache, f"{server.url}/kernel")
    assert cache.leftovers() == [tmp_path / "passwd"]
    assert cache.remove_leftovers() == []
    assert not (tmp_path / TAG).exists()


def test_qemu_may_read_and_no_passwords_are_stored(server: TreeServer, cache: Cache) -> None:
    before = os.umask(0o077)
    try:
        take(cache, server.url.replace("//", "//user:secret@") + "/kernel")
    finally:
        os.umask(before)
    entry = cache.entries()[0]
    modes = [path.stat().st_mode & 0o777 for path in (entry.path, *entry.path.parents[:2])]
    assert modes == [0o644, 0o755, 0o755]
    texts = [path.read_bytes() for path in cache.directory.iterdir() if path != entry.path]
    assert not any(b"secret" in text for text in texts)
    assert entry.url == server.url.replace("//", "//***@") + "/kernel"
    assert entry.size == len(KERNEL)
    assert entry.last_use < LATER


def test_local_files_are_cached_by_time_and_size(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "kernel"
    source.write_bytes(KERNEL)
    assert take(cache, source.as_uri()) == KERNEL
    source.write_bytes(make_kernel(b"changed, longer") + b"!")
    assert take(cache, source.as_uri()) == make_kernel(b"changed, longer") + b"!"


def test_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InstallFailed, match="cannot write"):
        take(Cache(tmp_path / "file" / "trees"), "http://127.0.0.1/kernel")
