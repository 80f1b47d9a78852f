"""Identifying files of answers by their content."""

import pytest

from shctl.install.answer_kinds import Kind, identify

EXAMPLES = {
    Kind.PRESEED: [
        "d-i debian-installer/locale string en_GB\n",
        "# a comment\n\nd-i\tpasswd/root-password password r00t\r\n",
        "tasksel tasksel/first multiselect standard, ssh-server\n",
        "d-i partman/early_command string echo '%packages' >/x\n",
        "d-i mirror/http/proxy string\n",
    ],
    Kind.KICKSTART: [
        "lang en_GB\nkeyboard uk\nrootpw --lock\n",
        "%packages\n@^minimal-environment\n%end\n",
        "text\nzerombr\n%post\ncat >/x <<END\nd-i a/b string c\nEND\n%end\n",
    ],
    Kind.AUTOINSTALL: [
        "#cloud-config\nautoinstall:\n  version: 1\n",
        "autoinstall:\n  version: 1\n",
        "#cloud-config\n# long\nusers: []\nautoinstall: {version: 1}\n",
    ],
    Kind.CLOUD_CONFIG: ["#cloud-config\nhostname: web1\n", "#cloud-config\n# autoinstall: no\n"],
    Kind.AUTOYAST: [
        '<?xml version="1.0"?>\n<!DOCTYPE profile>\n<profile xmlns="http://www.suse.com/1.0/yast2ns"'
        ' xmlns:config="http://www.suse.com/1.0/configns"></profile>\n'
    ],
    Kind.AGAMA: ['{"product": {"id": "SLES"}, "root": {"password": "x"}}', '\n {"storage": {}}'],
    Kind.IGNITION: ['{"ignition": {"version": "3.4.0"}, "storage": {"files": []}}'],
    Kind.ALPINE: ['KEYMAPOPTS="us us"\nHOSTNAMEOPTS=web1\n', "export DISKOPTS='-m sys /dev/sda'\n"],
}
UNKNOWN = [
    "", "\n", "text\n", "network is down\nhello\n", "#!/bin/sh\nexit 0\n", "<html></html>", "{",
    "{}",
    '{"a": 1}', "[1]", '{"ignition": 3}', "[" * 100_000, '{"a":' * 100_000, "\0\1\2", "a b c\n",
    "http://example.com/x string\n",
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in EXAMPLES.items() for text in texts]
)
def test_identifyd(kind: Kind, text: str) -> None:
    assert identify(text.encode()) is kind
    assert identify(b"\xef\xbb\xbf" + text.encode()) is kind
    assert identify(text.replace("\n", "\r\n").encode()) is kind


@pytest.mark.parametrize("text", UNKNOWN, ids=range(len(UNKNOWN)))
def test_not_identifyd(text: str) -> None:
    assert identify(text.encode()) is None


def test_bytes_that_are_no_text() -> None:
    assert identify(b"# \xe4\xff\nd-i a/b string \xe4\n") is Kind.PRESEED
