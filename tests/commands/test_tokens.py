"""Tokens on the command line: a token whose secret was not printed is revoked."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import HANG, SHCTL, Done, environment, ok, run

pytestmark = pytest.mark.hypervisor

CREATE = ["tokens", "create", "lost", "--scope", "admin"]


@pytest.fixture(autouse=True)
def _file() -> Iterator[None]:
    yield
    Path("/var/lib/shctl/tokens.json").unlink(missing_ok=True)


def into(stdout: int | None, *more: str) -> Done:
    """Create a token with stdout on a descriptor; None means closed."""
    script = 'exec "$@" >&-' if stdout is None else 'exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *SHCTL, *more, *CREATE], env=environment(), stdout=stdout,
        stderr=subprocess.PIPE, text=True, timeout=HANG, check=False,
    )  # fmt: skip
    return Done(done.returncode, "", done.stderr)


@pytest.mark.parametrize("kind", ["full", "closed", "unread"])
@pytest.mark.parametrize("output", ["table", "json"])
def test_token_whose_secret_was_not_printed_is_revoked(kind: str, output: str) -> None:
    stdout = None
    if kind == "full":
        stdout = os.open("/dev/full", os.O_WRONLY)
    elif kind == "unread":
        reader, stdout = os.pipe()
        os.close(reader)
    done = into(stdout, "-o", output)
    if stdout is not None:
        os.close(stdout)
    assert (done.code, done.err.count("\n")) == (1, 1), done
    assert "cannot print the secret of token 'lost', so the token is revoked: " in done.err
    assert ok("tokens", "list") == ""
    ok(*CREATE)


def test_failed_creation_does_not_revoke_an_existing_token() -> None:
    ok(*CREATE)
    assert into(None).code == 4
    assert run("-o", "name", "tokens", "list").out == "lost\n"


def test_dry_runs() -> None:
    tokens = Path("/var/lib/shctl/tokens.json")
    before = tokens.read_bytes() if tokens.exists() else None
    made = run("-o", "json", "tokens", "create", "dry", "--scope", "read", "--dry-run")
    assert (made.code, [step["action"] for step in made.json["steps"]]) == (0, ["create"])
    assert "token" not in made.json
    assert (tokens.read_bytes() if tokens.exists() else None) == before
    assert run("tokens", "delete", "dry", "--dry-run").code == 3
    ok("tokens", "create", "dry", "--scope", "read")
    assert run("tokens", "create", "dry", "--scope", "read", "--dry-run").code == 4
    gone = run("-o", "json", "tokens", "delete", "dry", "--dry-run")
    assert [step["action"] for step in gone.json[0]["steps"]] == ["delete"]
    ok("tokens", "delete", "dry")
