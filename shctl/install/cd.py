"""Write small CDs with answers: ISO 9660 with Rock Ridge and Joliet names."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from shctl.common.atomic import write_atomically


def write(target: Path, label: str, files: Mapping[str, bytes]) -> None:
    """Write a CD with files (contents by name) to target, atomically and with mode 0600.

    Raise NoSpace, InstallFailed.
    """
    from pycdlib import PyCdlib  # takes 60 ms

    image = PyCdlib()
    # The names of ISO 9660 itself have capitals only; systems read Rock Ridge's or Joliet's.
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    for number, (name, content) in enumerate(sorted(files.items())):
        image.add_fp(
            BytesIO(content), len(content), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}"
        )
    try:
        with write_atomically(target, 0o600) as stream:
            image.write_fp(stream)
    finally:
        image.close()
