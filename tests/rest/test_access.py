"""R35 and R36: scopes of tokens, requests from browsers, and secrets in logs."""

import http.client
import json
import os
import re
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shctl.common import token_file
from shctl.common.errors import ShctlError
from shctl.rest import access
from shctl.server import PAGES, ROUTES
from tests.rest_server import (
    PORT,
    TOKENS,
    Certificates,
    Client,
    Running,
    children,
    make_certificates,
    make_token,
    serving,
)
from tests.scoreboard import Figures
from tests.support import SHCTL, VOLUMES, environment, eventually, ok, prepare, run

SCOPES = ("read", "power", "admin")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tokens() -> Iterator[dict[str, str]]:
    """Make a token of each scope, one that has expired and one that was deleted."""
    made = {scope: make_token(scope, scope) for scope in SCOPES}
    made["expired"] = make_token("expired", "admin", "--expires", "1")
    entries = json.loads(TOKENS.read_text())
    entries["expired"]["expires"] = "2020-01-01T00:00:00Z"
    TOKENS.write_text(json.dumps(entries))
    made["revoked"] = make_token("revoked", "admin")
    ok("tokens", "delete", "--yes", "revoked")
    yield made
    TOKENS.unlink()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates, tokens: dict[str, str]
) -> Iterator[Running]:
    """Run a server that also listens on TCP with TLS, under umask 000."""
    del tokens
    prepare()
    before = os.umask(0)
    try:
        with serving(
            tmp_path_factory.mktemp("access"), "--listen", f"127.0.0.1:{PORT}",
            *certificates.options,
        ) as running:  # fmt: skip
            yield running
    finally:
        os.umask(before)


@pytest.fixture
def tls(server: Running, certificates: Certificates) -> Client:
    """Return a client over TLS, without a token."""
    del server
    return Client(PORT, certificates.context())


def with_token(client: Client, token: str) -> Client:
    return Client(client.address, client.context, token)


def targets() -> Iterator[tuple[str, str, str]]:
    """Return method, path and scope of all routes; the names in the paths do not exist."""
    for row in (*ROUTES, *PAGES):
        path = re.sub("<[a-z]+>", "nobody", row.path)
        # Without an error, this response would have no end.
        path += "?other=1" if path == "/events" else ""
        yield row.method, path, row.scope


# The scopes of routes, independent of the server's table.
LEAST = {"GET": "read", "PUT": "power", "POST": "admin", "PATCH": "admin", "DELETE": "admin"}
OTHERWISE = {
    "/hosts/nobody/log": "admin", "/trees": "admin",
    "/healthz": "public", "/openapi.json": "public", "/docs": "public",
}  # fmt: skip


def expected(scope: str, credentials: str) -> set[int]:
    """Return the statuses that a route of this scope may have for a kind of credentials."""
    done = {200, 204, 400, 404}  # none of these before 401 and 403
    if scope == "public":
        return done
    if credentials not in SCOPES:
        return {401}
    return done if SCOPES.index(credentials) >= SCOPES.index(scope) else {403}


@pytest.mark.hypervisor
def test_r35_every_route_with_every_kind_of_credentials(
    tls: Client, tokens: dict[str, str], figures: Figures
) -> None:
    kinds = {"none": "", "bad": "shctl_" + "A" * 43, **tokens}
    wrong, cases = [], 0
    for method, path, declared in targets():
        scope = OTHERWISE.get(path, LEAST[method])
        assert scope == declared, (method, path)
        for kind, secret in kinds.items():
            cases += 1
            # Each from its own address, without failures so far.
            source = (f"127.0.{cases // 250 + 1}.{cases % 250 + 1}", 0)
            reply = replace(with_token(tls, secret), source=source).ask(method, path)
            if reply.status not in expected(scope, kind):
                wrong.append((method, path, kind, reply.status))
    figures.share("bad inputs refused", cases - len(wrong), cases)
    assert wrong == []


@pytest.mark.hypervisor
@pytest.mark.parametrize("path", ["/nothing", "/hosts/nobody/nothing", "/openapi"])
def test_r35_unknown_paths_are_not_revealed_without_a_token(tls: Client, path: str) -> None:
    assert tls.ask("GET", path).status in (401, 429)
    assert tls.ask("PATCH", "/hosts").status in (401, 429)


@pytest.mark.hypervisor
@pytest.mark.parametrize(
    "value",
    [
        "{}", "Basic {}", "Token {}", "Bearer", "Bearer ", "Bearer {}x", "Bearer x{}",
        "Bearer {} {}", "Bearer {},Bearer {}", "Bearer \xe9",
    ],
)  # fmt: skip
def test_r35_credentials_in_other_forms(tls: Client, tokens: dict[str, str], value: str) -> None:
    headers = {"Authorization": value.replace("{}", tokens["admin"])}
    reply = tls.ask("GET", "/hosts", headers=headers)
    assert reply.status in (401, 429)
    if reply.status == 401:
        assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.hypervisor
def test_r35_a_deletion_takes_effect_at_once(tls: Client) -> None:
    client = with_token(tls, make_token("brief", "read"))
    assert client.ask("GET", "/hosts").status == 200
    ok("tokens", "delete", "--yes", "brief")
    assert client.ask("GET", "/hosts").status in (401, 429)


def test_r35_every_change_of_the_file_takes_effect_at_once(tmp_path: Path) -> None:
    """Also one that keeps the file's size, within the same tick of the file system's clock."""
    file = tmp_path / "tokens.json"
    for number in range(20):
        token = token_file.create(f"t{number:02}", "read", path=file).token
        assert access.find_token(token, file)
        token_file.delete(f"t{number:02}", file)
        assert access.find_token(token, file) is None


def test_the_file_is_read_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tokens.json"
    token = token_file.create("old", "read", path=file).token
    monkeypatch.setattr(access, "_TICK", -1)  # as if it were an old file
    assert access.find_token(token, file)
    with monkeypatch.context() as patch:
        patch.setattr(token_file, "load", lambda _: pytest.fail("it was read again"))
        assert access.find_token(token, file)
        assert access.find_token("another", file) is None
    file.chmod(0o640)
    with pytest.raises(ShctlError, match="chmod 600"):
        access.find_token(token, file)


@pytest.mark.hypervisor
def test_r35_eleventh_failure_has_to_wait(tls: Client, tokens: dict[str, str]) -> None:
    statuses = [tls.ask("GET", "/hosts").status for _ in range(11)]
    assert statuses[-1] == 429
    reply = tls.ask("GET", "/hosts")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    # Failures do not lock out clients with a valid token.
    assert with_token(tls, tokens["read"]).ask("GET", "/hosts").status == 200
    assert tls.ask("GET", "/healthz").status == 200


@pytest.mark.hypervisor
def test_r35_unix_socket_needs_no_token(server: Running) -> None:
    assert server.client.ask("GET", "/hosts").status == 200
    wrong = {"Authorization": "Bearer wrong"}
    assert server.client.ask("DELETE", "/hosts/nobody", headers=wrong).status == 404


BROWSERS = [
    ("Host", "evil.example"), ("Host", "evil.example:8420"), ("Host", "localhost.evil.example"),
    ("Host", "localhost@evil.example"), ("Host", ""), ("Host", "localhost,evil.example"),
    ("Host", "127.0.0.1.evil.example"), ("Origin", "https://evil.example"), ("Origin", "null"),
    ("Origin", "http://localhost:8420"), ("Origin", "https://localhost:1"),
    ("Origin", "https://localhost:8420.evil.example"), ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Site", "anything"),
]  # fmt: skip


@pytest.mark.hypervisor
def test_r36_foreign_pages_are_refused(
    tls: Client, tokens: dict[str, str], figures: Figures
) -> None:
    assert len(BROWSERS) >= 12
    client = with_token(tls, tokens["admin"])
    refused = 0
    for name, value in BROWSERS:
        for path in ("/hosts", "/healthz", "/docs", "/nothing"):
            reply = client.ask("GET", path, headers={name: value})
            assert (reply.status, reply.is_problem) == (403, True), (name, value, path)
        refused += 1
    figures.share("bad inputs refused", refused, len(BROWSERS))


@pytest.mark.hypervisor
def test_r36_own_pages_and_plain_clients_pass(tls: Client, tokens: dict[str, str]) -> None:
    client = with_token(tls, tokens["read"])
    for headers in (
        {"Origin": f"https://localhost:{PORT}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Host": f"127.0.0.1:{PORT}"},
        {"Host": f"[::1]:{PORT}"},
        {"Host": socket.gethostname()},
    ):
        assert client.ask("GET", "/hosts", headers=headers).status == 200, headers


@pytest.mark.hypervisor
def test_r36_foreign_pages_over_a_unix_socket(server: Running) -> None:
    for name, value in (("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")):
        assert server.client.ask("GET", "/hosts", headers={name: value}).status == 403


@pytest.mark.hypervisor
def test_r36_modes_of_files_under_umask_000(server: Running, tokens: dict[str, str]) -> None:
    del tokens
    done = subprocess.run(
        [*SHCTL, "tokens", "create", "masked", "--scope", "read"],
        env=environment(), capture_output=True, umask=0, check=True,
    )  # fmt: skip
    assert done.stdout
    ok("tokens", "delete", "--yes", "masked")
    server.client.ok("POST", "/hosts/masked", {"memory": 64, "disks": [1], "networks": ["vlan10"]})
    made = [VOLUMES / "masked-sda", *Path("/run/shctl/locks").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    for directory in (Path("/var/log/shctl/console"), Path("/run/shctl/locks")):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    ok("hosts", "delete", "--yes", "masked")
    assert stat.S_IMODE(TOKENS.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(TOKENS.parent.stat().st_mode) == 0o755


@pytest.mark.hypervisor
def test_r36_secrets_are_not_revealed(server: Running, tls: Client, tokens: dict[str, str]) -> None:
    """Neither the log, nor the process list, nor the file contains them."""
    password = "hunter2-of-the-root-user"
    client = with_token(tls, tokens["admin"])
    body = {
        "memory": 64, "disks": [1], "networks": ["vlan10"], "install": True,
        "location": f"http://user:{password}@127.0.0.1:9/tree", "cmdline": f"rootpw={password}",
        "inject": {"preseed.cfg": password}, "values": {"PASSWORD": password},
    }  # fmt: skip
    assert client.ask("POST", "/hosts/web1", body).status in (400, 502)
    assert client.ask("GET", f"/trees?location={body['location']}").status in (400, 502)
    assert client.ask("GET", f"/hosts?{password}").status == 400
    assert client.ask("POST", "/hosts/web1", {password: 1}).status == 400
    eventually(lambda: [x for x in server.lines("request") if "web1" in x["path"]])
    log, processes = server.log.read_text(), " ".join(children())
    for secret in (password, *tokens.values()):
        assert secret not in log
        assert secret not in processes
        assert secret not in TOKENS.read_text()


@pytest.mark.hypervisor
def test_r36_audit_has_changes_and_refusals(
    server: Running, tls: Client, tokens: dict[str, str]
) -> None:
    ids = {}
    for kind, who, status in (
        ("read", "token read", 403),
        ("admin", "token admin", 404),
        ("revoked", "nobody", 401),
    ):
        reply = with_token(tls, tokens[kind]).ask("DELETE", "/hosts/nobody")
        ids[reply.headers["x-request-id"]] = (who, "127.0.0.1", reply.status)
        assert reply.status in (status, 429)

    def audited() -> dict[str, tuple[str, str, int]]:
        lines = [line for line in server.lines("audit") if line["request"] in ids]
        return {x["request"]: (x["who"], x["from"], x["status"]) for x in lines}

    assert eventually(lambda: audited() if len(audited()) == 3 else None) == ids


@pytest.mark.hypervisor
def test_token_file_that_others_may_read_is_refused(
    tls: Client, tokens: dict[str, str], tmp_path: Path
) -> None:
    TOKENS.chmod(0o640)
    try:
        reply = with_token(tls, tokens["read"]).ask("GET", "/hosts")
        done = run("serve", "--socket", str(tmp_path / "s"))
    finally:
        TOKENS.chmod(0o600)
    assert reply.status == 500
    assert (done.code, "chmod 600" in done.err) == (1, True)


@pytest.mark.hypervisor
def test_paths_of_files_are_not_revealed_without_a_token(
    tls: Client, tokens: dict[str, str]
) -> None:
    whole = TOKENS.read_text()
    TOKENS.write_text("{")
    try:
        reply = with_token(tls, tokens["read"]).ask("GET", "/hosts")
    finally:
        TOKENS.write_text(whole)
    assert (reply.status, reply.is_problem) == (500, True)
    assert str(TOKENS) not in reply.json["detail"]
    assert reply.headers["x-request-id"] in reply.json["detail"]


@pytest.mark.hypervisor
def test_refused_upgrade_is_logged(server: Running, tls: Client) -> None:
    key = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", **key}
    assert tls.ask("GET", "/hosts/upgraded", headers=upgrade).status == 403

    def written() -> list[dict[str, Any]]:
        return [row for row in server.lines("audit") if row["path"] == "/hosts/upgraded"]

    (line,) = eventually(written)
    assert (line["status"], line["from"]) == (403, "127.0.0.1")


@pytest.mark.hypervisor
def test_tokens_are_listed_without_secrets(tokens: dict[str, str]) -> None:
    rows = {row["name"]: row for row in run("-o", "json", "tokens", "list").json}
    assert rows["read"]["scope"] == "read"
    assert rows["expired"]["state"] == "expired"
    assert not set(tokens.values()) & set(str(rows).split("'"))
    assert run("tokens", "create", "read", "--scope", "read").code == 4
    assert run("tokens", "delete", "--yes", "nobody").code == 3
    row = {"name": "nobody", "result": "does not exist", "kept": []}
    assert run("-o", "json", "tokens", "delete", "nobody", "--if-exists", "--yes").json == [row]
    assert run("tokens", "create", "x", "--scope", "root").code == 2


def test_concurrently_created_tokens_are_all_kept(tmp_path: Path) -> None:
    """The file is read, changed and replaced under a lock."""
    from concurrent.futures import ThreadPoolExecutor

    file = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: token_file.create(f"t{i}", "read", path=file), range(40)))
    assert {row.name for row in token_file.tokens(file)} == {f"t{i}" for i in range(40)}
    assert all(access.find_token(new.token, file) for new in made)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokens.json"]


@pytest.mark.hypervisor
def test_plain_http_on_the_tls_port(server: Running) -> None:
    del server
    with pytest.raises((http.client.HTTPException, OSError)):
        Client(PORT).ask("GET", "/hosts")


@pytest.mark.hypervisor
def test_http2_over_tls(server: Running, tls: Client, tokens: dict[str, str]) -> None:
    del server
    assert tls.context is not None
    argv = [
        "curl", "--silent", "--http2", "--insecure", "--output", "/dev/null", "--config", "-",
        "--write-out", "%{http_version} %{http_code}", f"https://localhost:{PORT}/hosts",
    ]  # fmt: skip
    config = f'header = "Authorization: Bearer {tokens["read"]}"'
    done = subprocess.run(argv, input=config, capture_output=True, text=True, check=True)
    assert done.stdout == "2 200"


@pytest.mark.hypervisor
def test_client_certificates(
    certificates: Certificates, tokens: dict[str, str], tmp_path: Path
) -> None:
    options = ("--listen", "127.0.0.1:8421", *certificates.options)
    with serving(tmp_path, *options, "--client-ca", str(certificates.authority)):
        bare = Client(8421, certificates.context(), tokens["read"])
        with pytest.raises((http.client.HTTPException, OSError)):
            bare.ask("GET", "/hosts")
        known = Client(8421, certificates.context(with_client=True))
        assert known.ask("GET", "/hosts").status == 401
        assert with_token(known, tokens["read"]).ask("GET", "/hosts").status == 200
