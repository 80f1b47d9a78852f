"""R33 and R34: ambiguous bodies, and values that look like options or shell commands."""

import gzip
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.rest_server import JSON, Client
from tests.scoreboard import Figures, rounds
from tests.support import connected, ok

pytestmark = pytest.mark.hypervisor

GOOD = {"memory": 64, "disks": [1], "networks": ["vlan10"]}
CANARY = Path("/tmp/shctl-canary")


def with_memory(text: str) -> bytes:
    """Return a body that is valid except for its memory."""
    return f'{{"memory":{text},"disks":[1],"networks":["vlan10"]}}'.encode()


def changed(**fields: Any) -> bytes:
    """Return a body with some fields replaced, or added."""
    return json.dumps({**GOOD, **fields}).encode()


# The mistake, the body, and the field that the error names.
BODIES: list[tuple[str, bytes, str | None]] = [
    ("empty", b"", "memory"),
    ("blank", b"  \n", None),
    ("no JSON", b"memory=64", None),
    ("cut off", b'{"memory":64', None),
    ("two objects", b"{}{}", None),
    ("a comma too many", b'{"memory":64,}', None),
    ("single quotes", b"{'memory':64}", None),
    ("a comment", b'{"memory":64/*M*/}', None),
    ("top level null", b"null", None),
    ("top level array", b"[]", None),
    ("top level number", b"5", None),
    ("top level text", b'"memory"', None),
    ("top level true", b"true", None),
    ("duplicate key", b'{"memory":64,"memory":64,"disks":[1],"networks":["vlan10"]}', "memory"),
    ("escaped duplicate", b'{"memory":64,"m\\u0065mory":128}', "memory"),
    ("nested duplicate", b'{"inject":{"a":"1","a":"2"}}', "a"),
    ("NaN", with_memory("NaN"), None),
    ("Infinity", with_memory("Infinity"), None),
    ("minus Infinity", with_memory("-Infinity"), None),
    ("1e999", with_memory("1e999"), None),
    ("-1e999", with_memory("-1e999"), None),
    ("leading zero", with_memory("064"), None),
    ("hexadecimal", with_memory("0x40"), None),
    ("plus sign", with_memory("+64"), None),
    ("5,000 digits", with_memory("9" * 5000), None),
    ("400 digits", with_memory("9" * 400), "memory"),
    ("bare minus", with_memory("-"), None),
    ("fraction for integer", with_memory("64.5"), "memory"),
    ("64.0 for integer", with_memory("64.0"), "memory"),
    ("6.4e1 for integer", with_memory("6.4e1"), "memory"),
    ("text for integer", with_memory('"64"'), "memory"),
    ("true for integer", with_memory("true"), "memory"),
    ("null for integer", with_memory("null"), "memory"),
    ("array for integer", with_memory("[64]"), "memory"),
    ("object for integer", with_memory("{}"), "memory"),
    ("negative", with_memory("-64"), "memory"),
    ("zero", with_memory("0"), "memory"),
    ("2^63", with_memory(str(2**63)), "memory"),
    ("integer for array", changed(disks=8), "disks"),
    ("text for array", changed(networks="vlan10"), "networks"),
    ("empty array", changed(disks=[]), "disks"),
    ("true in array", changed(disks=[True]), "disks"),
    ("null in array", changed(disks=[None]), "disks"),
    ("fraction in array", changed(disks=[8.5]), "disks"),
    ("array in array", changed(disks=[[8]]), "disks"),
    ("zero in array", changed(disks=[8, 0]), "disks"),
    ("number among texts", changed(networks=["vlan10", 10]), "networks"),
    ("1 for true", changed(install=1), "install"),
    ("text for true", changed(install="true"), "install"),
    ("null for false", changed(install=None), "install"),
    ("number for text", changed(cmdline=5), "cmdline"),
    ("null for text", changed(location=None), "location"),
    ("unknown choice", changed(firmware="coreboot"), "firmware"),
    ("text for object", changed(inject="preseed"), "inject"),
    ("number in object", changed(inject={"preseed.cfg": 1}), "inject"),
    ("equals sign in a file's name", changed(inject={"a=b": "c"}), "inject"),
    ("unknown key", changed(colour="red"), "colour"),
    ("empty key", changed(**{"": 1}), None),
    ("key in capitals", changed(Memory=64), "Memory"),
    ("option's own spelling", changed(**{"--memory": 64}), "--memory"),
    ("a terminal's option", changed(inject_files=["/etc/shadow"]), "inject_files"),
    ("a terminal's wait", changed(wait=True), "wait"),
    ("name in the body", changed(name="web2"), "name"),
    ("NUL in text", changed(install=True, location="http://a/\0b"), "location"),
    ("NUL in a key", changed(**{"a\0b": 1}), "a\N{REPLACEMENT CHARACTER}b"),
    ("NUL in array", changed(networks=["vlan10\0"]), "networks"),
    ("bare NUL", b'{"cmdline":"a\0b"}', None),
    ("line break in text", b'{"cmdline":"a\nb"}', None),
    ("lone surrogate", b'{"cmdline":"\\ud800"}', "cmdline"),
    ("surrogates the wrong way round", b'{"cmdline":"\\udc00\\ud800"}', "cmdline"),
    ("surrogate in a key", b'{"\\ud800":1}', "\N{REPLACEMENT CHARACTER}"),
    ("surrogate deep inside", b'{"inject":{"a":"\\udfff"}}', "inject"),
    ("unknown escape", b'{"cmdline":"\\x41"}', None),
    ("no UTF-8", b'{"cmdline":"\xff"}', None),
    ("overlong UTF-8", b'{"cmdline":"\xc0\x80"}', None),
    ("UTF-8 of a surrogate", b'{"cmdline":"\xed\xa0\x80"}', None),
    ("byte order mark", b"\xef\xbb\xbf" + changed(), None),
    ("UTF-16", changed().decode().encode("utf-16"), None),
    ("UTF-32", changed().decode().encode("utf-32"), None),
    ("Latin-1", '{"cmdline":"é"}'.encode("latin-1"), None),
    ("deep arrays", b"[" * 30_000 + b"]" * 30_000, None),
    ("deep arrays in a field", b'{"disks":' + b"[" * 30_000 + b"]" * 30_000 + b"}", None),
    ("deep objects", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, None),
    ("20 levels in a field", b'{"disks":' + b"[" * 20 + b"]" * 20 + b"}", "disks"),
    ("64 KiB and a byte", changed(cmdline="a" * (64 * 1024 + 1 - len(changed(cmdline="")))), None),
    ("a megabyte", b" " * 2**20, None),
    ("cmdline without install", changed(cmdline="quiet"), "cmdline"),
    ("location without install", changed(location="http://127.0.0.1/"), "location"),
    ("unknown network", changed(networks=["nowhere"]), "networks"),
    ("unknown pool", changed(pool="nowhere"), "pool"),
    ("an option in a text", changed(networks=["--debug"]), "networks"),
    ("a file of the server", changed(location="file:///etc/passwd", install=True), "location"),
    ("a directory of the server", changed(location="/etc", install=True), "location"),
]  # fmt: skip


def test_r33_hostile_bodies(client: Client, figures: Figures) -> None:
    assert len(BODIES) >= 60
    wrong = []
    for what, body, field in BODIES:
        reply = client.ask("POST", "/hosts/web1", body, headers=JSON)
        good = reply.status == 400 and reply.is_problem and reply.json.get("field") == field
        wrong += [] if good else [(what, reply.status, reply.body)]
    figures.share("bad inputs refused", len(BODIES) - len(wrong), len(BODIES))
    assert wrong == []
    assert client.ask("GET", "/hosts/web1").status == 404


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "application/jsonx",
        "application/problem+json",
        "json",
    ],
)
def test_r33_wrong_content_type(client: Client, content_type: str) -> None:
    reply = client.ask("POST", "/hosts/web1", GOOD, headers={"Content-Type": content_type})
    assert (reply.status, reply.json["field"]) == (400, "Content-Type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip"])
def test_r33_compressed_bodies(client: Client, encoding: str) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    reply = client.ask("POST", "/hosts/web1", gzip.compress(changed()), headers=headers)
    assert (reply.status, reply.is_problem) == (415, True)
    assert reply.headers["accept-encoding"] == "identity"


def test_identity_content_encoding(client: Client) -> None:
    headers = {**JSON, "Content-Encoding": "identity"}
    assert client.ask("POST", "/hosts/web1", changed(memory=0), headers=headers).status == 400


def test_valid_content_types(client: Client) -> None:
    by_itself = "application/x-www-form-urlencoded"  # curl's default with -d
    quoted = 'application/json; charset="utf-8"'
    for content_type in ("application/json", "Application/JSON;charset=UTF-8", quoted, by_itself):
        headers = {"Content-Type": content_type}
        assert client.ask("POST", "/hosts/web1", GOOD, headers=headers).status == 201
        client.ok("DELETE", "/hosts/web1")


def test_largest_accepted_body(client: Client) -> None:
    body = json.dumps(GOOD).encode()
    assert client.ask("POST", "/hosts/web1", body.ljust(64 * 1024), headers=JSON).status == 201
    client.ok("DELETE", "/hosts/web1")


@pytest.mark.parametrize("vlan", [-1, 0, 4095, 4096, "10", 10.5, True, None])
def test_r21_wrong_vlan(client: Client, vlan: object) -> None:
    reply = client.ask("POST", "/networks/lab", {"bridge": "br0", "vlan": vlan})
    assert (reply.status, reply.is_problem, reply.json["field"]) == (400, True, "vlan")
    assert client.ask("GET", "/networks/lab").status == 404


@pytest.mark.parametrize("bridge", ["br9", "", "-x", "br0; id", None, 0])
def test_r21_missing_bridge(client: Client, bridge: object) -> None:
    reply = client.ask("POST", "/networks/lab", {"bridge": bridge, "vlan": 10})
    assert (reply.status, reply.is_problem, reply.json["field"]) == (400, True, "bridge")
    assert client.ask("GET", "/networks/lab").status == 404


INJECTIONS = [
    f"$(touch {CANARY})", f"`touch {CANARY}`", f"; touch {CANARY}", f"| touch {CANARY}",
    f"&& touch {CANARY} &", f"' ; touch {CANARY} '", f'" ; touch {CANARY} "', "--help",
    "-c qemu:///session", "--", "a --memory=1", "<b>bold</b>", "</cmdline><kernel>/etc/shadow",
    "]]>", "<!--", "&lt;", "&amp;amp;", "&#0;", "<?xml?>", "<!ENTITY x SYSTEM 'file:///etc/shadow'>",
    "%s%n%x", "{0}", "{{7*7}}", "${HOME}", "~root", "\\", "\\n", "a'b", 'a"b', "naïve", "日本語",
    "🐧", "e\N{COMBINING ACUTE ACCENT}", "-x", "../../etc/shadow",
    "a,b=c", "file=/etc/shadow,if=none", "opt%3Dval", "1 OR 1=1", "' OR ''='", "a;b&c|d",
]  # fmt: skip


def test_r34_injections_are_stored_unchanged(client: Client, figures: Figures, tree: str) -> None:
    assert len(INJECTIONS) >= 40
    same = 0
    # Ten per host, since each host takes a second.
    for some in [INJECTIONS[i : i + 10] for i in range(0, len(INJECTIONS), 10)]:
        cmdline = " ".join(some)
        body = {**GOOD, "install": True, "location": tree, "cmdline": cmdline}
        assert client.ask("POST", "/hosts/web1", body).status == 201, some
        # The console precedes the `--`, where Linux reads it.
        stored = _stored_cmdline("web1").replace(" console=ttyS0", "", 1)
        same += len(some) if cmdline in stored else 0
        client.ok("DELETE", "/hosts/web1")
    figures.share("bad inputs refused", same, len(INJECTIONS))
    assert same == len(INJECTIONS)
    assert not CANARY.exists()


def _stored_cmdline(name: str) -> str:
    """Return the kernel command line that the running installer was started with."""
    from lxml import etree

    with connected() as connection:
        xml = connection.lookupByName(name).XMLDesc()
    return str(etree.fromstring(xml).findtext("os/cmdline"))


def test_r34_injections_in_names_and_locations(client: Client, figures: Figures) -> None:
    from urllib.parse import quote

    replies = []
    for text in INJECTIONS:
        name = quote(text, safe="")
        replies.append((text, client.ask("POST", f"/hosts/{name}", GOOD)))
        network = {"bridge": text, "vlan": 1}
        replies.append((text, client.ask("POST", f"/networks/{name}", network)))
        replies.append((text, client.ask("GET", f"/trees?location={name}")))
    # A name with a slash makes a path that does not exist.
    taken = [(text, reply) for text, reply in replies if reply.status not in (400, 404)]
    figures.share("bad inputs refused", len(replies) - len(taken), len(replies))
    assert taken == []
    assert not CANARY.exists()
    assert "web" not in ok("-o", "name", "hosts", "list")


def heavy(field: str, value: str, number: int = 60_000) -> bytes:
    """Return a body that is valid except for one field with as many values as fit."""
    values = f"{value}," * (number // (len(value) + 1))
    rest = ",".join(f'"{key}":{json.dumps(v)}' for key, v in GOOD.items() if key != field)
    return f'{{{rest},"{field}":[{values}{value}]}}'.encode()


def pairs(field: str, value: str = '"x"') -> bytes:
    """Return a body in which one field is an object with as many keys as fit."""
    inside = ",".join(f'"{n}":{value}' for n in range(4000))
    return changed(**{field: {}}).replace(
        f'"{field}": {{}}'.encode(), f'"{field}":{{{inside}}}'.encode()
    )


WORST = {
    "many keys": b"{" + b",".join(b'"%d":1' % n for n in range(6000)) + b"}",
    "a duplicate at the end": b"{" + b",".join(b'"%d":1' % n for n in range(6000)) + b',"5999":1}',
    "long numbers": b'{"memory":[' + b",".join([b"9" * 4299] * 15) + b"]}",
    "floats": heavy("disks", "1e-300"),
    "disks": heavy("disks", "1"),
    "networks": heavy("networks", '"vlan10"'),
    "unknown networks": heavy("networks", '"a"'),
    "arrays": heavy("disks", "[]"),
    "escapes": changed(install=True, location="http://127.0.0.1:9/", cmdline="\x1b" * 10_000),
    "blanks": b" " * 30_000 + changed(memory=0) + b" " * 30_000,
    "blanks inside": changed(install=True, location="http://127.0.0.1:9/", cmdline=" " * 60_000),
    "quotes": changed(install=True, location="http://127.0.0.1:9/", cmdline='"' * 30_000),
    "options": changed(networks=["--a" * 20_000]),
    "a long location": changed(install=True, location="http://127.0.0.1:9/" + "../" * 20_000),
    "a long host": changed(install=True, location="http://" + "a." * 30_000),
    "files": pairs("inject"),
    "values": pairs("values"),
    "depth": b'{"disks":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
}


def test_r43_worst_case_bodies(client: Client, figures: Figures) -> None:
    """Each is refused, and other requests are served as usual meanwhile."""
    over, times, wrong = threading.Event(), [0.0], []

    def others() -> None:
        while not over.is_set():
            begin = time.monotonic()
            assert client.ask("GET", "/").status == 200
            times.append(time.monotonic() - begin)

    with ThreadPoolExecutor(2) as pool:
        watcher = pool.submit(others)
        try:
            for what, body in list(WORST.items()) * rounds(5, 1):
                reply = client.ask("POST", "/hosts/web1", body, headers=JSON)
                # 502: a tree's server that refuses connections.
                wrong += [] if reply.status in (400, 502) else [(what, reply.status, reply.body)]
        finally:
            over.set()
        watcher.result()
    figures.limit("others", round(1000 * max(times)), 100, "ms")
    figures.share("bad inputs refused", len(WORST) - len(wrong), len(WORST))
    assert wrong == []
