"""Files injected by command line and REST alike: the same bytes in the initrd."""

import base64
import gzip
from pathlib import Path

import pytest

from tests.install.treeserver import INITRD
from tests.installations import BOOT, arguments
from tests.rest_server import Client
from tests.support import ok, run

BODY = {"memory": 64, "disks": [1], "networks": ["vlan10"], "install": True}
BINARY = gzip.compress(b"late command", mtime=0) + bytes(range(256))
TEXT = "größe @SHCTL_HOSTNAME@\r\n"
FILLED = "größe injected\r\n".encode()
LATIN = "größe @SHCTL_HOSTNAME@\r\n".encode("latin-1")
FILES = {"late.tgz": BINARY, "nocloud/user-data": TEXT.encode(), "latin.cfg": LATIN}


def archive() -> bytes:
    """Return the archive appended to a host's initrd, and delete the host."""
    content = (BOOT / "injected" / "initrd").read_bytes()
    ok("hosts", "delete", "--yes", "injected")
    assert content.startswith(INITRD)
    return gzip.decompress(content[len(INITRD) :].lstrip(b"\0"))


def in_base64(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


@pytest.mark.hypervisor
def test_command_line_and_rest_inject_the_same_bytes(
    client: Client, tree: str, tmp_path: Path
) -> None:
    given = []
    for number, (name, content) in enumerate(FILES.items()):
        (tmp_path / str(number)).write_bytes(content)
        given.append(f"--inject={name}={tmp_path / str(number)}")
    ok(*arguments("injected", tree, *given))
    by_command = archive()
    encoded = {name: in_base64(content) for name, content in FILES.items()}
    body = {**BODY, "location": tree, "inject": {**encoded, "nocloud/user-data": TEXT}}
    assert client.ask("POST", "/hosts/injected", body).status == 201
    assert archive() == by_command
    assert all(content in by_command for content in (BINARY, FILLED, LATIN))
    assert b"nocloud\0" in by_command


@pytest.mark.hypervisor
def test_a_value_may_be_in_a_file_of_a_local_user_only(
    client: Client, tree: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("correcthorse\n")
    (tmp_path / "a.cfg").write_text("is @SHCTL_SECRET@.")
    value = f"SECRET=@{tmp_path / 'secret'}"
    ok(*arguments("injected", tree, f"--inject={tmp_path / 'a.cfg'}", f"--value={value}"))
    assert b"is correcthorse." in archive()
    body = {**BODY, "location": tree, "inject": {"a.cfg": "is @SHCTL_SECRET@."}}
    values = {"SECRET": f"@{tmp_path / 'secret'}"}
    assert client.ask("POST", "/hosts/injected", {**body, "values": values}).status == 201
    assert f"is @{tmp_path / 'secret'}.".encode() in archive()


@pytest.mark.hypervisor
def test_base64_in_lines(client: Client, tree: str) -> None:
    inject = {"a": {"base64": base64.encodebytes(BINARY).decode()}}
    body = {**BODY, "location": tree, "inject": inject}
    assert client.ask("POST", "/hosts/injected", body).status == 201
    assert BINARY in archive()


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"base64": 5},
        {"base64": None},
        {"base64": "é"},
        {"base64": "YQ"},
        {"base64": "Y=Q="},
        {"base64": "YQ==", "text": "a"},
        {"text": "a"},
        ["YQ=="],
        True,
    ],
)
def test_r33_invalid_contents(client: Client, tree: str, content: object) -> None:
    body = {**BODY, "location": tree, "inject": {"a": content}}
    reply = client.ask("POST", "/hosts/injected", body)
    assert (reply.status, reply.json.get("field")) == (400, "inject"), reply.body


@pytest.mark.hypervisor
def test_openapi_has_both_forms(client: Client) -> None:
    document = client.ask("GET", "/openapi.json").json
    body = document["paths"]["/hosts/{name}"]["post"]["requestBody"]["content"]
    inject = body["application/json"]["schema"]["properties"]["inject"]
    text, binary = inject["additionalProperties"]["anyOf"]
    assert (text["type"], list(binary["properties"])) == ("string", ["base64"])


def test_one_name_twice(tree: str, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for more in ([f"--inject=a={tmp_path / 'a'}"], ["--inject-text=a=b"]):
        done = run(*arguments("injected", tree, f"--inject={tmp_path / 'a'}", *more))
        assert (done.code, "--inject: two files" in done.err) == (2, True), done
