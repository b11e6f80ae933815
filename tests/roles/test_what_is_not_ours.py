# SPDX-License-Identifier: MIT
"""What bears our names and is not ours is on the host after a removal, as it was; ours is gone."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import REPOSITORY, Host

pytestmark = pytest.mark.root  # only root can make a host of its own
FILES = REPOSITORY / "roles/so1_daemon/files"
NAMES = ("so1", "/opt/so1", "/var/lib/so1")
UNIT = "/etc/systemd/system/so1.service"
OURS = """
set -e
mkdir -p /opt/so1/releases/one/bin
ln -sfn releases/one /opt/so1/venv
ln -sfn /opt/so1/venv/bin/so1 /usr/local/bin/so1
mkdir -p /etc/systemd/system
printf 'ExecStart=/opt/so1/venv/bin/so1 daemon\\n' >/etc/systemd/system/so1.service
printf '# `so1 config check` says\\n' >/etc/so1/config.toml
touch /var/lib/so1/metrics.db
chown so1:so1 /var/lib/so1/metrics.db
"""
THEIRS = """
set -e
useradd --create-home --base-dir /opt/home so1
mkdir -p /opt/so1 /var/lib/so1 /etc/so1 /etc/systemd/system
echo 'int main' >/opt/so1/exam.c
echo notes >/var/lib/so1/notes
echo '#!/bin/sh' >/usr/local/bin/so1
echo 'ExecStart=/usr/local/bin/so1' >/etc/systemd/system/so1.service
echo 'a = 1' >/etc/so1/config.toml
"""
LOOK = """
getent passwd so1
getent group so1
find /opt /var/lib/so1 /etc/so1 /usr/local/bin/so1 /etc/systemd/system/so1.service \
    -printf '%p %M %u %g %l\\n' 2>/dev/null | sort
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    for folder in ("/opt", "/usr/local/bin", "/var/lib"):
        made.inside("mount", "-t", "tmpfs", "tmpfs", folder)
    made.inside("sh", "-c", "sed -i /^so1:/d /etc/passwd /etc/group /etc/shadow /etc/gshadow")
    yield made
    made.stop()


def run(host: Host, name: str, *options: str) -> str:
    configuration = ("/etc/so1/config.toml",) if name == "remove.sh" else ()
    done = subprocess.run(
        host.enter("sh", str(FILES / name), *options, *NAMES, *configuration),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def set_up(host: Host) -> None:
    host.inside("groupadd", "--system", "so1")
    host.inside(
        *("useradd", "--system", "--gid", "so1", "--home-dir", "/var/lib/so1"),
        *("--no-create-home", "--shell", "/usr/sbin/nologin", "so1"),
    )
    assert "changed" in run(host, "directories.sh", "--check")
    assert host.inside("ls", "/opt").stdout == ""
    assert "changed" in run(host, "directories.sh")
    host.inside("sh", "-c", OURS)
    assert run(host, "directories.sh") == ""


def test_what_others_have_is_as_it_was(host: Host) -> None:
    host.inside("sh", "-c", THEIRS)
    before = host.inside("sh", "-c", LOOK).stdout
    assert "exam.c" in before
    for options in (("--check",), (), ("--purge",)):
        assert run(host, "remove.sh", *options) == ""
        assert host.inside("sh", "-c", LOOK).stdout == before


def test_ours_is_gone_and_the_history_is_roots(host: Host) -> None:
    set_up(host)
    before = host.inside("sh", "-c", LOOK).stdout
    assert "changed" in run(host, "remove.sh", "--check")
    assert host.inside("sh", "-c", LOOK).stdout == before
    assert "changed" in run(host, "remove.sh")
    left = host.inside("sh", "-c", LOOK).stdout.splitlines()
    assert [line.split()[0] for line in left] == [
        "/opt",
        "/var/lib/so1",
        "/var/lib/so1/metrics.db",
    ]
    assert {line.split()[2] for line in left} == {"root"}
    assert run(host, "remove.sh") == ""


def test_history_that_was_kept_comes_back_to_the_user(host: Host) -> None:
    host.inside("sh", "-c", "mkdir /var/lib/so1 && touch /var/lib/so1/metrics.db")
    set_up(host)
    assert host.inside("stat", "-c", "%U", "/var/lib/so1/metrics.db").stdout == "so1\n"


def test_the_version_before_had_no_mark(host: Host) -> None:
    set_up(host)
    host.inside("sh", "-c", "cd /opt/so1; rm .so1 venv; mkdir venv; touch venv/.installed")
    assert "changed: /opt/so1/.so1" in run(host, "directories.sh", "--check")
    run(host, "remove.sh")
    assert host.inside("ls", "/opt").stdout == ""


def test_what_others_keep_beside_our_configuration_stays(host: Host) -> None:
    set_up(host)
    host.inside("touch", "/etc/so1/theirs")
    run(host, "remove.sh", "--purge")
    assert host.inside("ls", "/etc/so1").stdout == "theirs\n"


def test_the_group_stays_where_the_modules_need_it(host: Host) -> None:
    set_up(host)
    group = host.inside("getent", "group", "so1").stdout
    run(host, "remove.sh", "--keep-group")
    assert host.inside("getent", "passwd", "so1", check=False).stdout == ""
    assert host.inside("getent", "group", "so1").stdout == group
