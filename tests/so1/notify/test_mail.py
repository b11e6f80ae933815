# SPDX-License-Identifier: MIT
"""A message to a program in sendmail's place."""

import email
import email.policy
import time
from pathlib import Path

import pytest

from so1 import config
from so1.notify.error import NotSentError
from so1.notify.mail import send
from so1.notify.message import Item, make
from tests.so1.notify.receiver import Sendmail

HOSTILE = "$(touch owned) `id`\n.\nBcc: evil@example.org; | & é \\x0d\\x0a"
TO = ["root", "ops+so1@example.org"]


def test_it_is_handed_over_without_a_shell(sendmail: Sendmail) -> None:
    item = Item(id=7, timestamp=7000, kind="remove", outcome="done", container_name=HOSTILE)
    sent = make("web-1", 100.0, [item], 0, 7)
    send(str(sendmail.program), TO, sent)
    ((arguments, letter),) = sendmail.letters
    assert arguments == ["-i", "--", *TO]
    read = email.message_from_string(letter, policy=email.policy.default)
    assert dict(read.items()) == {
        "Subject": "SO1: events on web-1",
        "To": "root, ops+so1@example.org",
        "Date": "Thu, 01 Jan 1970 00:01:40 -0000",
        "Message-ID": f"<{sent.id}@so1.invalid>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
        "MIME-Version": "1.0",
    }
    assert "$(touch owned) `id`" in read.get_content()


@pytest.mark.parametrize("host", ["a\nBcc: evil@example.org", "é", "", "x" * 65])
def test_a_host_with_an_odd_name_is_not_in_the_subject(sendmail: Sendmail, host: str) -> None:
    send(str(sendmail.program), TO, make(host, 100.0, [], 1, 7))
    ((_, letter),) = sendmail.letters
    read = email.message_from_string(letter, policy=email.policy.default)
    assert read["Subject"] == "SO1: events"
    assert "Bcc" not in read


def test_sendmail_fails(sendmail: Sendmail) -> None:
    (sendmail.folder / "fails").touch()
    with pytest.raises(NotSentError, match="ended with 75"):
        send(str(sendmail.program), TO, make("web-1", 100.0, [], 1, 7))
    assert sendmail.letters == []


def test_sendmail_hangs_and_is_killed_with_what_it_started(sendmail: Sendmail) -> None:
    (sendmail.folder / "hangs").touch()
    began = time.monotonic()
    with pytest.raises(NotSentError, match="did not end within 1 s"):
        send(str(sendmail.program), TO, make("web-1", 100.0, [], 1, 7), 1)
    assert time.monotonic() - began < 5
    for name in ("child", "parent"):
        pid = int((sendmail.folder / name).read_text())
        until = time.monotonic() + 5
        while alive(pid):
            assert time.monotonic() < until
            time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_no_sendmail(tmp_path: Path) -> None:
    with pytest.raises(NotSentError, match="cannot be run: No such file"):
        send(str(tmp_path / "absent"), TO, make("web-1", 100.0, [], 1, 7))


def test_a_program_that_reads_nothing_has_taken_it() -> None:
    send("/bin/true", TO, make("web-1", 100.0, [], 1, 7))


@pytest.mark.parametrize(
    "address",
    [
        *("-oQ/tmp", "-froot", "a b", "a,b@c", "a@b\n", "a@b\nBcc: c", "|/bin/sh", "/tmp/x", ""),
        *("a@-b", '"a"@b', "a@b@c", ":include:/etc/shadow", "é@b", "a\x00"),
    ],
)
def test_what_is_no_address_is_refused_with_the_configuration(address: str) -> None:
    quoted = address.encode("unicode_escape").decode().replace("\\x", "\\u00").replace('"', '\\"')
    with pytest.raises(config.ConfigError):
        config.parse(f'[notify.mail]\nto = ["{quoted}"]')


def test_addresses_that_are_taken() -> None:
    found = config.parse('[notify.mail]\nto = ["root", "ops+so1@mail.example.org"]')
    assert found.notify.mail.to == ["root", "ops+so1@mail.example.org"]
