"""The drawing: imports point one way, and each door has one opener. By syntax tree."""

import ast
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Spare each test a look at the hypervisor, which none of these touches."""


PACKAGE = Path(__file__).parents[1] / "shctl"
FILES = sorted(PACKAGE.rglob("*.py"))
FACES = {"cli", "__main__", "server", "openapi", "auth"}
WEB = {"bottle", "hypercorn"}


def module(file: Path) -> str:
    """Return the name below the package: creation, commands.hosts, install.fetch."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def walk(tree: ast.AST) -> list[ast.AST]:
    """Return every node that runs, which those below `if TYPE_CHECKING` do not."""
    found = [tree]
    for child in ast.iter_child_nodes(tree):
        if not is_typing_only(child):
            found += walk(child)
    return found


def imported(tree: ast.AST) -> set[str]:
    """Return full names of what is imported, inside functions too."""
    found = set()
    for node in walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


TREES = {module(file): ast.parse(file.read_text()) for file in FILES}
IMPORTS = {name: imported(tree) for name, tree in TREES.items()}


def ours(name: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    inside = {i.removeprefix("shctl.") for i in IMPORTS[name] if i.startswith("shctl.")}
    found = {
        max((m for m in TREES if m and f"{i}.".startswith(f"{m}.")), key=len, default="")
        for i in inside
    }
    return found - {""}


def importers(*libraries: str) -> set[str]:
    return {n for n, found in IMPORTS.items() if any(f.split(".")[0] in libraries for f in found)}


def is_face(name: str) -> bool:
    return name in FACES or name.startswith(("server", "rest"))


@pytest.mark.parametrize("name", [n for n in TREES if not is_face(n) and n != "commands.serve"])
def test_nothing_but_a_face_imports_a_face(name: str) -> None:
    assert {other for other in ours(name) if is_face(other)} - {"auth"} == set()


@pytest.mark.parametrize(
    "name", [n for n in TREES if not is_face(n) and not n.startswith("commands")]
)
def test_core_knows_no_command(name: str) -> None:
    assert {other for other in ours(name) if other.startswith("commands")} == set()


def test_errors_names_and_models_stand_at_the_bottom() -> None:
    assert ours("text") == ours("model") == ours("rows") == set()
    assert ours("errors") == {"text"}
    assert ours("names") == {"errors"}


@pytest.mark.parametrize(
    "name",
    ["domain", "disks", "hardware", "network", "metadata", "names", "model", "rows", "text"],
)
def test_builders_do_no_io(name: str) -> None:
    assert not ours(name) & {"binding", "handles", "pools", "hypervisor", "openvswitch"}
    roots = {found.split(".")[0] for found in IMPORTS[name]}
    assert not roots & {"os", "subprocess", "socket", "pathlib", "libvirt", "time"}


def test_imports_go_round_in_no_circle() -> None:
    left = {name: ours(name) - {name} for name in TREES}
    while ends := {name for name, others in left.items() if not others}:
        left = {name: others - ends for name, others in left.items() if name not in ends}
    assert left == {}


def test_one_module_imports_libvirt() -> None:
    assert importers("libvirt") == {"binding"}


def test_one_module_starts_processes() -> None:
    assert importers("subprocess") == {"openvswitch", "images"}


def test_web_framework_stays_in_the_server() -> None:
    assert {name for name in importers(*WEB) if not is_face(name)} <= {"commands.serve"}


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("name", TREES)
def test_no_shell(name: str) -> None:
    for call in calls(TREES[name]):
        function = ast.unparse(call.func)
        assert function not in ("os.system", "os.popen", "eval", "exec")
        for keyword in call.keywords:
            assert keyword.arg != "shell" or ast.unparse(keyword.value) == "False"


@pytest.mark.parametrize("name", [n for n in TREES if n.startswith("commands.")])
def test_commands_neither_print_nor_exit_nor_read_the_environment(name: str) -> None:
    used = {ast.unparse(node) for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    called = {ast.unparse(call.func) for call in calls(TREES[name])}
    assert not called & {"print", "click.echo", "click.confirm", "click.prompt", "sys.exit"}
    assert not used & {"os.environ", "sys.stdout", "sys.stderr", "sys.stdin"}


@pytest.mark.parametrize("name", [n for n in TREES if n != "binding"])
def test_only_the_door_reads_libvirts_codes(name: str) -> None:
    assert "libvirtError" not in ast.unparse(TREES[name])
    assert "get_error_code" not in ast.unparse(TREES[name])
