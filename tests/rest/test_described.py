"""The OpenAPI description matches the server, is complete, and comes from the commands."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from shctl.server import PAGES, ROUTES
from tests.rest_server import TOKENS, Client, Running, make_token, serving
from tests.support import ROOT, call, ok, prepare

pytestmark = pytest.mark.hypervisor

ST = ROOT / ".venv" / "fuzz" / "bin" / "st"
# Left out: names must exist (positive_data_acceptance), and a client without a token gets 429 as
# well as 401 (ignored_auth, missing_required_header).
LEFT_OUT = "positive_data_acceptance,ignored_auth,missing_required_header"
REQUESTS = 2000
# Chromium checks for updates, which must fail here.
CHROMIUM = (
    "chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --dump-dom"
    " --disable-background-networking --disable-component-update --disable-sync --no-first-run"
    " --disable-default-apps --no-pings --disable-domain-reliability"
).split()

# An option of a list and one of a creation, declared only on the commands.
EXTENDED = """
import functools, click
from shctl.cli.main import main
from shctl.commands.networks import networks
from shctl.common.errors import Conflict

listing, creation = networks.commands["list"], networks.commands["create"]
list_all, create = listing.callback, creation.callback

@functools.wraps(list_all)
def list_some(only, **given):
    return [row for row in list_all(**given) if only in (None, row.state)]

@functools.wraps(create)
def refuse(comment, **given):
    raise Conflict(f"{given['name']}: {comment}")

listing.params.append(click.Option(["--only"], type=click.Choice(["active", "inactive"])))
creation.params.append(click.Option(["--comment"], required=True, help="Why it is made."))
listing.callback, creation.callback = list_some, refuse
main()
"""


def test_the_file_in_docs_is_current(client: Client) -> None:
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert client.ok("GET", "/openapi.json") == kept, "run 'make man' to update it"


def test_it_has_every_route_and_no_other(client: Client) -> None:
    paths = client.ok("GET", "/openapi.json")["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    there = {(row.method, re.sub("<(.*?)>", r"{\1}", row.path)) for row in (*ROUTES, *PAGES)}
    assert described == there


def test_responses_have_the_described_fields(client: Client) -> None:
    schemas = client.ok("GET", "/openapi.json")["components"]["schemas"]
    ok(*"hosts create web1 --memory 64 --disk 1 --network vlan10".split())
    for path, name in (("/hosts/web1", "HostDetail"), ("/networks/vlan10", "NetworkDetail")):
        assert set(client.ok("GET", path)) == set(schemas[name]["properties"])
    client.ok("DELETE", "/hosts/web1")


def test_a_change_returns_what_changed_or_its_plan(client: Client) -> None:
    paths = client.ok("GET", "/openapi.json")["paths"]
    done = paths["/hosts/{name}"]["patch"]["responses"]["200"]
    kinds = [
        kind["$ref"].rpartition("/")[2]
        for kind in done["content"]["application/json"]["schema"]["anyOf"]
    ]
    assert kinds == ["Changed", "ChangePlan"]


def test_parts_of_paths_are_single_values(client: Client) -> None:
    for methods in client.ok("GET", "/openapi.json")["paths"].values():
        for operation in methods.values():
            rows = [row for row in operation.get("parameters", ()) if row["in"] == "path"]
            assert {row["schema"]["type"] for row in rows} <= {"string", "integer"}


def test_parameters_have_descriptions(client: Client) -> None:
    paths = client.ok("GET", "/openapi.json")["paths"]
    body = paths["/hosts/{name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["memory", "disks", "networks"]
    assert body["additionalProperties"] is False
    assert body["properties"]["disks"]["items"]["minimum"] == 1
    assert body["properties"]["firmware"]["enum"] == ["bios", "uefi"]
    assert body["properties"]["cpus"]["default"] == 1
    assert not {"wait", "inject_files", "name", "output"} & set(body["properties"])
    wait = {p["name"]: p for p in paths["/hosts/{name}/wait"]["get"]["parameters"]}
    assert wait["for"]["required"]
    assert wait["timeout"]["schema"]["maximum"] == 300


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Run a server with options that this file adds to its commands."""
    prepare()
    directory = tmp_path_factory.mktemp("extended")
    with serving(directory, command=(sys.executable, "-c", EXTENDED)) as running:
        yield running.client


def test_a_new_option_appears_in_rest_and_openapi(extended: Client) -> None:
    assert [row["name"] for row in extended.ok("GET", "/networks?only=active")] == ["vlan10"]
    assert extended.ok("GET", "/networks?only=inactive") == []
    assert extended.ask("GET", "/networks?only=none").json["field"] == "only"
    body = {"bridge": "br0", "vlan": 1}
    assert extended.ask("POST", "/networks/n", body).json["field"] == "comment"
    assert extended.ask("POST", "/networks/n", {**body, "comment": 5}).json["field"] == "comment"
    made = extended.ask("POST", "/networks/n", {**body, "comment": "--why -- not"})
    assert (made.status, made.json["detail"]) == (409, "n: --why -- not")
    paths = extended.ok("GET", "/openapi.json")["paths"]
    listed = {p["name"]: p["schema"] for p in paths["/networks"]["get"]["parameters"]}
    assert listed["only"]["enum"] == ["active", "inactive"]
    sent = paths["/networks/{name}"]["post"]["requestBody"]["content"]
    schema = sent["application/json"]["schema"]
    assert schema["properties"]["comment"] == {"type": "string", "description": "Why it is made."}
    assert "comment" in schema["required"]
    assert "Why it is made." in extended.ask("GET", "/docs").body.decode()


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[Running]:
    """Run a server that also listens on loopback, without TLS."""
    with serving(tmp_path, "--listen", "127.0.0.1:8420") as running:
        yield running


def test_docs_in_a_browser(loopback: Running, tmp_path: Path) -> None:
    """A real browser shows every route, and loads nothing else."""
    page = call(*CHROMIUM, f"--user-data-dir={tmp_path / 'chromium'}", "http://127.0.0.1:8420/docs")
    text = re.sub(r"\s+", " ", re.sub("<[^>]*>", "", page))
    for row in (*ROUTES, *PAGES):
        path = row.path.replace("<", "{").replace(">", "}")
        assert f"{row.method} {path}" in text
    assert not re.search(r"<(script|img|link|iframe|object)|\ssrc=|url\(|@import", page)
    assert "16px" in page
    # Chromium requested nothing from elsewhere, and every request succeeded.
    asked = {(line["path"], line["status"]) for line in loopback.lines("request")}
    assert asked - {("/favicon.ico", 401)} == {("/docs", 200)}


def _without_examples(part: Any) -> Any:
    """Return a part of the description without examples."""
    if isinstance(part, dict):
        return {key: _without_examples(value) for key, value in part.items() if key != "example"}
    return [_without_examples(value) for value in part] if isinstance(part, list) else part


def test_random_requests_after_the_description(
    loopback: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No request causes a 500, and every response is in the description."""
    token = make_token("fuzz", "admin")
    (tmp_path / "schemathesis.toml").write_text(
        'headers = { Authorization = "Bearer ${SHCTL_TEST_TOKEN}" }\n'
    )
    # The examples would create a host and then wait for its guest, which answers nothing.
    described = _without_examples(loopback.client.ok("GET", "/openapi.json"))
    # Their responses have no end.
    del described["paths"]["/events"]
    log = described["paths"]["/hosts/{name}/log"]["get"]
    log["parameters"] = [row for row in log["parameters"] if row["name"] != "follow"]
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    argv = [
        str(ST), "run", "openapi.json", "--url", "http://127.0.0.1:8420",
        "--phases", "coverage,fuzzing", "--max-examples", "75", "--seed", "1",
        "--continue-on-failure", "--generation-database", "none", "--request-timeout", "60",
        "--no-color",
        "--suppress-health-check", "too_slow", "--exclude-checks", LEFT_OUT,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            argv, env={"SHCTL_TEST_TOKEN": token, "HOME": str(tmp_path)}, cwd=tmp_path,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    finally:
        ok("tokens", "delete", "--yes", "fuzz")
        TOKENS.unlink()
        # The test deletes networks and creates others under their names.
        for row in loopback.client.ok("GET", "/networks"):
            loopback.client.ok("DELETE", f"/networks/{quote(row['name'])}")
        ok(*"networks create vlan10 --bridge br0 --vlan 10".split())
    assert done.returncode == 0, done.stdout
    statuses = [line["status"] for line in loopback.lines("request")]
    assert len(statuses) >= REQUESTS
    assert max(statuses) < 500
    assert token not in done.stdout
    figures = f"{len(statuses)} random requests after the description, none of them a 5xx"
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201
