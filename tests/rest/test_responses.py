"""The Location of what a request made."""

from dataclasses import dataclass
from typing import ClassVar

from shctl.common.model import Part
from shctl.rest import responses
from shctl.rest.route import Route

CREATE = Route("POST", "/hosts/<host>/networks/<name>", "networks create", 201, "admin", 60)
ADD = Route("POST", "/hosts/<name>/disks", "hosts disks add", 201, "admin", 60)


@dataclass(frozen=True, slots=True)
class Added(Part):
    """A new disk."""

    columns: ClassVar[tuple[str, ...]] = ("name",)
    name: str

    @property
    def key(self) -> str:
        return self.name


def test_location_of_a_network() -> None:
    response = responses.success(CREATE, {"host": "x", "name": "a/b"}, Added("sdb").name)
    assert response.get_header("Location") == "/networks/a%2Fb"


def test_location_of_a_part_of_a_host() -> None:
    response = responses.success(ADD, {"name": "web 1"}, Added("sdb"))
    assert response.get_header("Location") == "/hosts/web%201/disks/sdb"
    assert response.body == b'{"name": "sdb"}\n'
