"""The structure of docs/architecture.md, by the syntax trees of all modules."""

import ast
import re
from pathlib import Path

import pytest

from shctl.cli.main import MEMBERS
from shctl.server import ROUTES

PACKAGE = Path(__file__).parents[1] / "shctl"
FILES = sorted(PACKAGE.rglob("*.py"))
# Each package, and those that it may import. commands.serve starts the server, when it is called.
MAY_IMPORT = {
    "common": set(),
    "xml": {"common"},
    "hypervisor": {"common", "xml"},
    "storage": {"common", "xml", "hypervisor"},
    "networks": {"common", "xml", "hypervisor"},
    "install": {"common", "xml", "hypervisor"},
    "hosts": {"common", "xml", "hypervisor", "storage", "networks", "install"},
    "doctor": {"common", "xml", "hypervisor", "storage", "networks", "install", "hosts"},
    "commands": {"common", "xml", "networks", "hypervisor", "install", "hosts", "doctor"},
    "rest": {"common", "hypervisor", "networks", "hosts", "commands"},
    "server": {"common", "commands", "rest"},
    "cli": {"common", "commands"},
    "__main__": {"cli"},
}
EXCEPTIONS = {("commands.serve", "server")}
GROUPS = [place.removeprefix("shctl.").split(":")[0] for place, _ in MEMBERS.values()]
WEB = {"bottle", "hypercorn"}


def module(file: Path) -> str:
    """Return the name below the package: creation, commands.hosts, install.fetch."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.AST) -> set[str]:
    """Return full names of what is imported, also inside functions and `if TYPE_CHECKING`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


TREES = {module(file): ast.parse(file.read_text()) for file in FILES}
IMPORTS = {name: imported(tree) for name, tree in TREES.items()}


def imports_of(name: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    inside = {i.removeprefix("shctl.") for i in IMPORTS[name] if i.startswith("shctl.")}
    found = {
        max((m for m in TREES if m and f"{i}.".startswith(f"{m}.")), key=len, default="")
        for i in inside
    }
    return found - {""}


def importers(*libraries: str) -> set[str]:
    return {n for n, found in IMPORTS.items() if any(f.split(".")[0] in libraries for f in found)}


def package(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize("name", [name for name in TREES if name != "__init__"])
def test_packages_import_only_what_is_below_them(name: str) -> None:
    allowed = {package(name), *MAY_IMPORT[package(name)]}
    taken = {package(other) for other in imports_of(name)} - allowed
    assert {(name, other) for other in taken} <= EXCEPTIONS


def test_top_level_has_few_entries() -> None:
    assert len(MAY_IMPORT) - 1 <= 12


def test_errors_names_and_models_import_almost_nothing() -> None:
    assert imports_of("common.text") == imports_of("common.rows") == set()
    assert imports_of("common.model") == {"common.rows"}
    assert imports_of("common.states") == set()
    assert imports_of("common.errors") == {"common.text"}
    assert imports_of("common.names") == {"common.errors"}


@pytest.mark.parametrize(
    "name",
    [name for name in TREES if package(name) == "xml"]
    + ["common.names", "common.model", "common.rows", "common.states", "common.text"],
)
def test_xml_does_no_io(name: str) -> None:
    roots = {found.split(".")[0] for found in IMPORTS[name]}
    assert not roots & {"os", "subprocess", "socket", "pathlib", "libvirt", "time"}


def test_imports_have_no_cycle() -> None:
    left = {name: imports_of(name) - {name} for name in TREES}
    while ends := {name for name, others in left.items() if not others}:
        left = {name: others - ends for name, others in left.items() if name not in ends}
    assert left == {}


PATH = re.compile("/(etc|run|var/(lib|cache|log)|tmp/shctl)")


@pytest.mark.parametrize("name", [n for n in TREES if n != "common.paths"])
def test_one_module_names_directories(name: str) -> None:
    """Tests relocate what is in common/paths.py. Paths within longer texts are help."""
    found = [
        node.value
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and PATH.match(node.value)
    ]
    assert found == []


def test_one_module_imports_libvirt() -> None:
    assert importers("libvirt") == {"hypervisor.binding"}


def test_only_xml_imports_lxml() -> None:
    assert {package(name) for name in importers("lxml")} == {"xml"}


def test_few_modules_start_processes() -> None:
    known = {"networks.openvswitch", "storage.images", "install.answer_checks"}
    assert importers("subprocess") == known


def test_web_framework_stays_in_the_server() -> None:
    assert {package(name) for name in importers(*WEB) - {"commands.serve"}} <= {"rest", "server"}


@pytest.mark.parametrize("name", [name for name in TREES if name.startswith("rest.http.")])
def test_http_of_the_server_imports_no_command(name: str) -> None:
    above = {"rest", "server", "commands"}
    assert not {
        n for n in imports_of(name) if package(n) in above and not n.startswith("rest.http")
    }


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("name", TREES)
def test_no_shell(name: str) -> None:
    for call in calls(TREES[name]):
        function = ast.unparse(call.func)
        assert function not in ("os.system", "os.popen", "eval", "exec")
        for keyword in call.keywords:
            assert keyword.arg != "shell" or ast.unparse(keyword.value) == "False"


@pytest.mark.parametrize("name", GROUPS)
def test_commands_neither_print_nor_exit_nor_read_the_environment(name: str) -> None:
    used = {ast.unparse(node) for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    called = {ast.unparse(call.func) for call in calls(TREES[name])}
    assert not called & {"print", "click.echo", "click.confirm", "click.prompt", "sys.exit"}
    assert not used & {"os.environ", "sys.stdout", "sys.stderr", "sys.stdin"}


@pytest.mark.parametrize("name", [n for n in TREES if n != "hypervisor.binding"])
def test_only_binding_reads_libvirts_codes(name: str) -> None:
    assert "libvirtError" not in ast.unparse(TREES[name])
    assert "get_error_code" not in ast.unparse(TREES[name])


def test_each_route_has_a_test_of_its_behaviour() -> None:
    """The tests of tests/frontends run each command on the command line and over REST."""
    files = (PACKAGE.parent / "tests/frontends").glob("test_*.py")
    text = "".join(file.read_text() for file in files)
    assert {route.command for route in ROUTES if f'"{route.command}"' not in text} == set()
