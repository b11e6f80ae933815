# SPDX-License-Identifier: MIT
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from so1 import config
from tests.so1.notify.receiver import Receiver, Sendmail, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def configure(folder: Path, text: str) -> None:
    file = folder / "config.toml"
    file.write_text(f"{file.read_text()}\n{text}")


def test_a_test_goes_every_way(
    so1: Callable[..., Result], receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "mail").mkdir()
    sendmail = Sendmail(tmp_path / "mail")
    configure(
        tmp_path,
        f'[notify.webhook]\nenabled = true\nsecret = "{receiver.secret(tmp_path)}"\n'
        f'[notify.mail]\nenabled = true\nto = ["ops@example.org"]\nsendmail = "{sendmail.program}"',
    )
    for _ in range(2):
        result = so1("notify", "test")
        assert (result.exit_code, result.output) == (0, "webhook: sent\nmail: sent\n")
    first, second = (request.told for request in receiver.requests)
    assert "Somebody ran `so1 notify test`" in first["text"]
    assert first["id"] != second["id"], "a receiver that drops what it knows shows both"
    assert [arguments for arguments, _ in sendmail.letters] == [["-i", "--", "ops@example.org"]] * 2


def test_a_test_that_does_not_arrive(
    so1: Callable[..., Result], receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answer = lambda _: 403
    secret = receiver.secret(tmp_path)
    configure(tmp_path, f'[notify.webhook]\nenabled = true\nsecret = "{secret}"')
    result = so1("notify", "test")
    assert result.exit_code == 1
    assert result.stderr == "webhook: not sent: the webhook answered 403\n"


def test_nothing_is_enabled(so1: Callable[..., Result], tmp_path: Path) -> None:
    result = so1("notify", "test")
    assert result.exit_code == 1
    assert "no way to tell anybody is enabled" in result.stderr
    result = so1("notify", "run", "mail", "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "notify.mail.enabled is false" in result.stderr


def test_only_one_runs(so1: Callable[..., Result], tmp_path: Path) -> None:
    configure(tmp_path, "[notify.mail]\nenabled = true")
    held = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
    with subprocess.Popen(
        [sys.executable, "-c", f"{held} print(flush=True); input()", tmp_path / "mail.json.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        other.stdout.readline()
        result = so1("notify", "run", "mail", "--state", str(tmp_path))
        other.communicate(b"\n")
    assert result.exit_code == 1
    assert f"pid {other.pid}" in result.stderr


def test_no_place_for_what_was_told(so1: Callable[..., Result], tmp_path: Path) -> None:
    configure(tmp_path, "[notify.mail]\nenabled = true")
    result = so1("notify", "run", "mail", "--state", str(tmp_path / "absent"))
    assert result.exit_code == 1
    assert "cannot be used (No such file or directory)" in result.stderr


def test_what_was_told_is_damaged(so1: Callable[..., Result], tmp_path: Path) -> None:
    configure(tmp_path, "[notify.mail]\nenabled = true")
    (tmp_path / "mail.json").write_text("{")
    result = so1("notify", "run", "mail", "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "is damaged" in result.stderr


@pytest.mark.parametrize(
    "pattern", ["remove", "remove/", "REMOVE/done", "a/b/c", "*", "x'/y", "a/b\n"]
)
def test_a_choice_that_is_none(pattern: str) -> None:
    escaped = pattern.replace("\n", "\\n")
    with pytest.raises(config.ConfigError, match=r"notify\.events"):
        config.parse(f'[notify]\nevents = ["{escaped}"]')
