# SPDX-License-Identifier: MIT
"""What tells of events, set up and removed; systemd is replaced, what the units note is real."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest

from tests.support.host import REPOSITORY, Host, playbook
from tests.support.services import done_to, with_services

pytestmark = pytest.mark.root  # only root can make a host of its own
WEBHOOK, MAIL = "so1-notify-webhook.service", "so1-notify-mail.service"
URL = "https://example.invalid/s3cret"
SETUP = f"""
set -e
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /var/lib
sed -i '/^so1/d' /etc/passwd /etc/group /etc/shadow /etc/gshadow
groupadd --system so1
groupadd --system so1-notify
useradd --system --gid so1-notify --home-dir /var/lib/so1-notify --no-create-home \
    --shell /usr/sbin/nologin so1-notify
mkdir -p /etc/so1 /etc/systemd/system /opt/so1/releases/one/bin /opt/so1/releases/two/bin
for release in one two; do ln -s {REPOSITORY}/.venv/bin/so1 /opt/so1/releases/$release/bin/so1; done
ln -s releases/one /opt/so1/venv
echo '# so1 config check' >/etc/so1/config.toml
"""
LOOK = """
getent passwd so1-notify
getent group so1-notify
find /etc/so1 /etc/systemd/system/so1-notify* /var/lib/so1-notify \
    -printf '%p %M %u %g\\n' 2>/dev/null
true
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    with_services(made)
    made.inside("sh", "-c", SETUP)
    yield made
    made.stop()


def test_each_way_runs_what_is_on_disk(host: Host, tmp_path: Path) -> None:
    play = playbook(tmp_path, {"include_role": {"name": "so1_daemon", "tasks_from": "notify"}})

    def applied(*options: str, **variables: Any) -> int:
        done = host.play(play, *options, **variables)
        assert done.status == 0, done.output
        assert "s3cret" not in done.output
        return done.changed

    assert applied() == 1, "the user of no way is gone"
    host.inside("sh", "-c", SETUP.partition("groupadd --system so1\n")[2].partition("mkdir")[0])
    wanted: dict[str, Any] = {
        "so1_daemon_notify_webhook_enabled": True,
        "so1_daemon_notify_webhook_url": URL,
    }
    applied("--diff", **wanted)
    assert (done_to(host, WEBHOOK), done_to(host, MAIL)) == (["start"], [])
    assert applied("--diff", **wanted) == 0
    secret = host.inside("stat", "-c", "%a %U %G", "/etc/so1/notify-webhook").stdout
    assert secret == "640 root so1-notify\n"
    # The secret is read for each message.
    wanted["so1_daemon_notify_webhook_token"] = "s3cret"
    assert applied("--diff", **wanted) == 1
    assert host.inside("cat", "/etc/so1/notify-webhook").stdout == f"{URL}\ns3cret\n"
    assert done_to(host, WEBHOOK) == ["start"]
    # What was changed while nobody looked is seen by what runs.
    for change in ("ln -sfn releases/two /opt/so1/venv", "echo >>/etc/so1/config.toml"):
        before = done_to(host, WEBHOOK)
        host.inside("sh", "-c", change)
        applied(**wanted)
        assert done_to(host, WEBHOOK)[len(before) :] == ["restart"]
        assert applied(**wanted) == 0
    # Another way, and the first one is gone with what it had told.
    host.inside("sh", "-c", "mkdir /var/lib/so1-notify; cd /var/lib/so1-notify; touch webhook.json")
    both = host.inside("sh", "-c", LOOK).stdout
    applied("--check", so1_daemon_notify_mail_enabled=True)
    assert host.inside("sh", "-c", LOOK).stdout == both
    applied(so1_daemon_notify_mail_enabled=True)
    assert (done_to(host, WEBHOOK), done_to(host, MAIL)) == ([], ["start"])
    assert "webhook" not in host.inside("sh", "-c", LOOK).stdout
    assert applied(so1_daemon_notify_mail_enabled=True) == 0
    applied()
    assert done_to(host, MAIL) == []
    assert "so1-notify" not in host.inside("sh", "-c", LOOK).stdout
    assert applied() == 0


def test_what_others_have_is_as_it_was(host: Host) -> None:
    theirs = f"""
userdel so1-notify
useradd --create-home --base-dir /opt/home so1-notify
mkdir -p /var/lib/so1-notify
touch /var/lib/so1-notify/mail.json /etc/so1/notify-webhook
echo 'ExecStart=/usr/bin/mail' >/etc/systemd/system/{MAIL}
"""
    host.inside("sh", "-c", theirs)
    before = host.inside("sh", "-c", LOOK).stdout
    assert "mail.json" in before
    script = str(REPOSITORY / "roles/so1_daemon/files/remove-notify.sh")
    for options in (("--check",), (), ("mail",), ("webhook", "mail")):
        done = subprocess.run(
            host.enter("sh", script, *options), capture_output=True, text=True, check=True
        )
        assert done.stdout == ""
        assert host.inside("sh", "-c", LOOK).stdout == before


@pytest.mark.parametrize("way", ["webhook", "mail"])
def test_a_unit_has_no_access_to_the_engine(way: str) -> None:
    text = (REPOSITORY / "roles/so1_daemon/templates/so1-notify.service.j2").read_text()
    variables = {
        "so1_daemon_notify_way": way,
        "so1_daemon_notify_user": "so1-notify",
        "so1_daemon_user": "so1",
        "so1_daemon_notify_name": f"so1-notify-{way}",
    }
    unit = jinja2.Template(text, trim_blocks=True).render(variables)
    assert "SupplementaryGroups=so1\n" in unit
    assert "docker" not in unit.replace("/run/docker.sock", "").replace("the group docker", "")
    # What would take away sendmail's rights.
    closed = ("NoNewPrivileges", "SystemCallFilter", "RestrictSUIDSGID", "CapabilityBoundingSet=")
    assert {name in unit for name in closed} == {way == "webhook"}
