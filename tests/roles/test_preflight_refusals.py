# SPDX-License-Identifier: MIT
"""What preflight says of a host: one sentence for each reason, and nothing of a host that is well.

Hosts are folders; what apt says is said by a real apt.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.packages import Packages
from tests.support.plays import REPOSITORY

SCRIPT = REPOSITORY / "roles/preflight/files/refusals.py"
KERNEL = "6.1.0-56-amd64"
HEADERS = f"linux-headers-{KERNEL}"
OUR_USER = "so1:x:998:997::/var/lib/so1:/usr/sbin/nologin"
OUR_TELLER = "so1-notify:x:996:995::/var/lib/so1-notify:/usr/sbin/nologin"
Tree = dict[str, str]


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("refusals", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["refusals"] = module
    spec.loader.exec_module(module)
    return module


refusals = loaded()

WELL: Tree = {
    "/sys/fs/cgroup/cgroup.controllers": "memory",
    "/sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
    "/proc/mounts": "proc /proc proc rw,nosuid 0 0\n",
    "/proc/net/tcp": "  sl\n   0: 0100007F:0016 00000000:0000 0A 0\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "/etc/group": "root:x:0:\ndocker:x:990:\n",
    "/usr/bin/dockerd": "",
    "/lib/systemd/system/docker.service": "",
    "/run/docker.sock": "",
    f"/lib/modules/{KERNEL}/build/Makefile": "",
}
SET_UP: Tree = {
    "/etc/passwd": f"root:x:0:0:root:/root:/bin/bash\n{OUR_USER}\n{OUR_TELLER}\n",
    "/etc/group": "root:x:0:\ndocker:x:990:so1\nso1:x:997:\n",
    "/opt/so1/venv/.installed": "of these sources",
    "/usr/local/bin/so1": "-> /opt/so1/venv/bin/so1",
    "/var/lib/so1/metrics.db": "",
    "/etc/systemd/system/so1.service": "[Service]\nExecStart=/opt/so1/venv/bin/so1 daemon\n",
    "/etc/so1/config.toml": "# Ansible managed\n# `so1 config check` says whether it is valid\n",
    "/etc/systemd/system/so1-notify-mail.service": "ExecStart=/opt/so1/venv/bin/so1 notify\n",
    "/var/lib/so1-notify/mail.json": "{}",
    "/etc/so1/grafana-admin-password": "",
    "/etc/so1/grafana/secret/admin-password": "",
    "/etc/modprobe.d/so1.conf": "# Ansible managed\noptions sysinfo suffix=202300539 gid=997\n",
    "/etc/cron.d/so1-workload": "* * * * * so1 systemd-cat -t so1-workload so1 workload generate\n",
    "/proc/sysinfo_so1_202300539": "",
    "/proc/continfo_so1_202300539": "",
    "/proc/exits_so1_202300539": "",
    **{
        f"/sys/module/{module}/{file}": ""
        for module in ("sysinfo", "continfo", "so1_exits", "so2_memlimit")
        for file in ("initstate", "parameters/gid")
    },
    "/proc/net/tcp": "  sl\n   0: 0100007F:0BB8 00000000:0000 0A 0\n",
}
"""Beside what is in WELL: a host that SO1 was set up on, before there was any mark."""

OUR_GRAFANA = {"Mounts": [{"Source": "/etc/so1/grafana/provisioning"}]}
COMMANDS: dict[tuple[str, ...], tuple[int, str]] = {
    ("systemctl", "is-enabled", "docker.service"): (0, "enabled\n"),
    ("systemctl", "is-active", "--quiet", "docker.service", "docker.socket"): (0, ""),
    ("ask", "/containers/grafana_so1/json"): (0, json.dumps({"message": "No such container"})),
    ("ask", "/volumes/grafana_so1"): (0, json.dumps({"message": "no such volume"})),
}
EVERYTHING = {"workload": True, "docker_host": "unix:///run/docker.sock"}


def told(folder: Path, tree: Tree, said: dict[Any, Any] | None = None, **wanted: Any) -> list[str]:
    """Give the sentences of a host: WELL, with other files, or with answers to commands."""
    for name, text in {**WELL, **tree}.items():
        path = folder / name.lstrip("/")
        if text == "absent":
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text[3:])
        else:
            path.write_text(text)

    def answer(command: tuple[str, ...]) -> tuple[int, str]:
        if command[0] == "dpkg-query":
            return 0, "".join(f"installed {name}\n" for name in command[4:])
        answers: dict[Any, tuple[int, str]] = {**COMMANDS, **(said or {})}
        return answers[command]

    host = refusals.Host(folder, answer)
    host.kernel = KERNEL
    wants = {**refusals.WANTED, **EVERYTHING, "packages": ["dkms"], **wanted}
    return [sentence for check in refusals.CHECKS for sentence in check(host, wants)]


def test_a_host_that_is_well_is_not_refused(tmp_path: Path) -> None:
    assert told(tmp_path, {}) == []


def test_nor_is_one_that_was_set_up_by_the_version_before(tmp_path: Path) -> None:
    ours = {("ask", "/containers/grafana_so1/json"): (0, json.dumps(OUR_GRAFANA))}
    assert told(tmp_path, SET_UP, ours) == []


def test_nor_one_with_releases_beside_each_other(tmp_path: Path) -> None:
    tree = {
        **SET_UP,
        "/opt/so1/venv/.installed": "absent",
        "/opt/so1/releases/one/bin/so1": "",
        "/etc/so1/grafana-admin-password": "secret",
    }
    (tmp_path / "opt/so1").mkdir(parents=True)
    (tmp_path / "opt/so1/venv").symlink_to("releases/one")
    assert told(tmp_path, tree) == []


def test_nor_one_whose_engine_does_not_answer(tmp_path: Path) -> None:
    nothing = {("ask", question[1]): (0, "") for question in COMMANDS if question[0] == "ask"}
    assert told(tmp_path, SET_UP, nothing) == []


def test_nor_one_that_was_closed_since(tmp_path: Path) -> None:
    tree = {**SET_UP, "/proc/sys/kernel/modules_disabled": "1\n"}
    ours = {("ask", "/containers/grafana_so1/json"): (0, json.dumps(OUR_GRAFANA))}
    assert told(tmp_path, tree, ours) == []


def test_nor_one_from_which_it_was_removed_and_the_history_stayed(tmp_path: Path) -> None:
    kept = {"/var/lib/so1/metrics.db": "", "/etc/so1/grafana-admin-password": "secret"}
    volume = {("ask", "/volumes/grafana_so1"): (0, json.dumps({"Mountpoint": "/var/lib/x"}))}
    assert told(tmp_path, kept, volume) == []


FOREIGN = "SO1 did not make {}, and would take it over; rename or remove it"
SENTENCES: list[tuple[str, Tree, dict[Any, Any], dict[str, Any]]] = [
    ("This host is a container (lxc)", {"/run/systemd/container": "lxc\n"}, {}, {}),
    ("This host is a container (podman)", {"/proc/1/environ": "A=b\0container=podman\0"}, {}, {}),
    ("does not use; boot it without", {"/sys/fs/cgroup/cgroup.controllers": "absent"}, {}, {}),
    (
        "/proc hides other users' processes (hidepid)",
        {"/proc/mounts": "proc /proc proc rw,hidepid=2 0 0\n"},
        {},
        {"procinfo": False, "source": "procfs"},
    ),
    (
        "/proc hides other users' processes (hidepid)",
        {"/proc/mounts": "proc /proc proc rw,hidepid=invisible,gid=7 0 0\n", **SET_UP},
        {("ask", "/containers/grafana_so1/json"): (0, json.dumps(OUR_GRAFANA))},
        {"source": "procfs"},
    ),
    (
        "The kernel loads no module any more until it is booted anew (kernel.modules_disabled=1)",
        {"/proc/sys/kernel/modules_disabled": "1\n"},
        {},
        {},
    ),
    (
        "The kernel is locked down (integrity; Secure Boot does this) and refuses modules",
        {"/sys/kernel/security/lockdown": "none [integrity] confidentiality\n"},
        {},
        {},
    ),
    (
        "The kernel is locked down (integrity; Secure Boot does this) and refuses modules",
        {
            "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
            "/var/lib/dkms/mok.pub": "",
        },
        {("mokutil", "--test-key", "/var/lib/dkms/mok.pub"): (0, "mok.pub is not enrolled\n")},
        {},
    ),
    (
        "accepts signed modules only (sig_enforce) and refuses modules built on this host",
        {"/sys/module/module/parameters/sig_enforce": "Y\n"},
        {},
        {},
    ),
    (
        f"The memory limiter cannot be built for a real-time kernel ({KERNEL})",
        {"/sys/kernel/realtime": "1\n"},
        {},
        {},
    ),
    (
        "A kernel module sysinfo is loaded that is not SO1's",
        {"/sys/module/sysinfo/initstate": "live\n"},
        {},
        {},
    ),
    (
        "/proc/sysinfo_so1_202300539 is another kernel module's",
        {"/proc/sysinfo_so1_202300539": "[]"},
        {},
        {},
    ),
    (
        FOREIGN.format(
            "the user so1 (its home is /home/so1), the group so1 (number 1000, a person's)"
        ),
        {
            "/etc/passwd": "so1:x:1000:1000:,,,:/home/so1:/bin/bash\n",
            "/etc/group": "docker:x:990:\nso1:x:1000:\n",
        },
        {},
        {},
    ),
    (FOREIGN.format("the folder /opt/so1"), {"/opt/so1/exam.c": ""}, {}, {}),
    (FOREIGN.format("the folder /var/lib/so1"), {"/var/lib/so1/notes": ""}, {}, {}),
    (
        FOREIGN.format("the command /usr/local/bin/so1"),
        {"/usr/local/bin/so1": "#!/bin/sh\n"},
        {},
        {},
    ),
    (
        FOREIGN.format("the command /usr/local/bin/so1"),
        {"/usr/local/bin/so1": "-> /home/me/so1"},
        {},
        {},
    ),
    (
        FOREIGN.format("the service /lib/systemd/system/so1.service"),
        {"/lib/systemd/system/so1.service": "ExecStart=/usr/bin/so1\n"},
        {},
        {},
    ),
    (
        FOREIGN.format("the user so1-notify (its home is /home/n)"),
        {"/etc/passwd": "so1-notify:x:1000:1000:,,,:/home/n:/bin/bash\n"},
        {},
        {},
    ),
    (
        FOREIGN.format("the folder /var/lib/so1-notify"),
        {"/var/lib/so1-notify/notes": ""},
        {},
        {},
    ),
    (
        FOREIGN.format("the service /etc/systemd/system/so1-notify-mail.service"),
        {"/etc/systemd/system/so1-notify-mail.service": "ExecStart=/usr/bin/mail\n"},
        {},
        {},
    ),
    (FOREIGN.format("the file /etc/so1/config.toml"), {"/etc/so1/config.toml": "a = 1\n"}, {}, {}),
    (
        FOREIGN.format("the file /etc/modprobe.d/so1.conf"),
        {"/etc/modprobe.d/so1.conf": "options other a=1\n"},
        {},
        {},
    ),
    (
        FOREIGN.format("the file /etc/cron.d/so1-workload"),
        {"/etc/cron.d/so1-workload": "* * * * * me true\n"},
        {},
        {},
    ),
    (
        "The Docker Engine is installed and its service is disabled, as where Docker runs rootless",
        {},
        {
            ("systemctl", "is-enabled", "docker.service"): (1, "disabled\n"),
            ("systemctl", "is-active", "--quiet", "docker.service", "docker.socket"): (3, ""),
        },
        {},
    ),
    (
        "There is a dockerd on this host and no docker.service",
        {"/lib/systemd/system/docker.service": "absent"},
        {},
        {},
    ),
    ("This host has no group docker", {"/etc/group": "root:x:0:\n"}, {}, {}),
    ("workload_enabled=true needs the daemon", {}, {}, {"workload": True, "daemon": False}),
    (
        "The container grafana_so1 on this host is not SO1's",
        {},
        {
            ("ask", "/containers/grafana_so1/json"): (
                0,
                json.dumps({"Mounts": [{"Source": "/home/me/grafana"}]}),
            )
        },
        {},
    ),
    (
        "The Docker volume grafana_so1 on this host is not SO1's, or its password is lost",
        {},
        {("ask", "/volumes/grafana_so1"): (0, json.dumps({"Mountpoint": "/var/lib/x"}))},
        {},
    ),
    (
        "Something else listens on port 3000 of this host",
        {"/proc/net/tcp": "  sl\n   0: 0100007F:0BB8 00000000:0000 0A 0\n"},
        {},
        {},
    ),
    (
        "Something else listens on port 3000 of this host",
        {"/proc/net/tcp6": "  sl\n   0: 00000000000000000000000000000000:0BB8 0:0 0A 0\n"},
        {},
        {},
    ),
]


@pytest.mark.parametrize(("sentence", "tree", "said", "wanted"), SENTENCES)
def test_each_reason_is_one_sentence(
    sentence: str, tree: Tree, said: dict[Any, Any], wanted: dict[str, Any], tmp_path: Path
) -> None:
    (found,) = told(tmp_path, tree, said, **wanted)
    assert sentence in found
    assert found.endswith(".")
    assert "; " in found, "no way out is told"


NOTHING = {
    "docker_engine": False,
    "procinfo": False,
    "memlimit": False,
    "daemon": False,
    "workload": False,
    "grafana": False,
}


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (tree, said)
        for sentence, tree, said, _ in SENTENCES
        if "container (" not in sentence
        and "boot it without" not in sentence
        and "person's" not in sentence
    ],
)
def test_what_is_not_wanted_is_not_looked_at(
    tree: Tree, said: dict[Any, Any], tmp_path: Path
) -> None:
    assert told(tmp_path, tree, said, **NOTHING) == []


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        (
            {
                "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
                "/etc/dkms/framework.conf": '# a comment\nmok_certificate="/etc/keys/own.der"\n',
                "/etc/keys/own.der": "",
            },
            {("mokutil", "--test-key", "/etc/keys/own.der"): (1, "own.der is already enrolled\n")},
        ),
        (
            {
                "/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
                "/etc/os-release": "NAME=Ubuntu\nID=ubuntu\n",
                "/var/lib/shim-signed/mok/MOK.der": "",
            },
            {
                ("mokutil", "--test-key", "/var/lib/shim-signed/mok/MOK.der"): (
                    1,
                    "MOK.der is already enrolled\n",
                )
            },
        ),
        ({"/proc/mounts": "proc /proc proc rw,hidepid=2 0 0\n"}, {}),
        ({"/proc/net/tcp": "  sl\n   0: 0200007F:0BB8 00000000:0000 0A 0\n"}, {}),
        (
            {},
            {
                ("systemctl", "is-enabled", "docker.service"): (1, "disabled\n"),
            },
        ),
    ],
    ids=[
        "enrolled key",
        "Ubuntu's key",
        "hidepid beside the modules",
        "another address",
        "by its socket",
    ],
)
def test_what_only_looks_like_a_reason_is_none(
    tree: Tree, said: dict[Any, Any], tmp_path: Path
) -> None:
    assert told(tmp_path, tree, said) == []


Ask = Callable[..., list[str]]


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    made = Packages(tmp_path / "packages")
    made.offer("dkms")
    made.offer("apparmor")
    made.offer("docker.io", Conflicts="podman-docker, containerd.io", Depends="runc")
    made.offer("runc")
    for name in ("podman-docker", "containerd.io", HEADERS, "needy"):
        made.offer(name, **({"Depends": "nowhere"} if name == "needy" else {}))
    return made


@pytest.fixture
def ask(tmp_path: Path, packages: Packages) -> Ask:
    """Ask on a host without an engine and without headers."""

    def run(**wanted: Any) -> list[str]:
        def answer(command: tuple[str, ...]) -> tuple[int, str]:
            done = subprocess.run(
                command,
                env={**packages.environment, "LC_ALL": "C"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout

        (tmp_path / "root").mkdir(exist_ok=True)
        host = refusals.Host(tmp_path / "root", answer)
        host.kernel = KERNEL
        wants = {**refusals.WANTED, "packages": ["dkms"], **wanted}
        before = sorted(packages.lists.rglob("*"))
        found = list(refusals.not_installable(host, wants))
        assert sorted(packages.lists.rglob("*")) == before, "the host's own lists were changed"
        return found

    return run


def test_packages_that_can_be_had_are_no_reason(ask: Ask, packages: Packages) -> None:
    assert ask() == [], "with no lists at all"
    packages.update()
    assert ask() == []
    assert packages.installed() == []


def test_a_package_is_named_that_would_have_to_go(ask: Ask, packages: Packages) -> None:
    packages.update()
    packages.install("podman-docker")
    (found,) = ask()
    assert "apt would remove podman-docker to install" in found
    assert ask(docker_engine=False) == []


def test_headers_that_no_source_has_are_named(ask: Ask, packages: Packages) -> None:
    index = packages.repository / "Packages"
    index.write_text(index.read_text().replace(HEADERS, "linux-headers-of-another"))
    (found,) = ask()
    assert f"No package has the headers of the running kernel ({KERNEL}); upgrade" in found
    assert ask(procinfo=False, memlimit=False) == []


def test_a_tree_to_build_against_is_enough(ask: Ask, packages: Packages, tmp_path: Path) -> None:
    index = packages.repository / "Packages"
    index.write_text(index.read_text().replace(HEADERS, "linux-headers-of-another"))
    tree = tmp_path / f"root/lib/modules/{KERNEL}/build/Makefile"
    tree.parent.mkdir(parents=True)
    tree.touch()
    assert ask() == []


def test_sources_that_cannot_be_read_are_told_from_packages_that_are_not_there(
    ask: Ask, packages: Packages
) -> None:
    packages.sources.write_text("deb http://127.0.0.1:1/debian nowhere main\n")
    (found,) = ask()
    assert "and apt cannot read its sources (Failed to fetch http://127.0.0.1:1/" in found


def test_a_host_that_has_all_needs_no_source(ask: Ask, packages: Packages) -> None:
    packages.update()
    packages.install("dkms", "docker.io", "apparmor", HEADERS)
    packages.sources.write_text("nonsense\n")
    assert ask() == []


def test_other_reasons_are_apts_own(ask: Ask, packages: Packages) -> None:
    packages.update()
    (found,) = ask(packages=["needy"])
    assert "apt cannot install " in found
    assert "Depends: nowhere" in found


def test_the_names_are_those_that_the_roles_install() -> None:
    """Of each role's calls of debian_packages, every name is in preflight's lists."""
    known = (REPOSITORY / "roles/preflight/vars/main.yml").read_text() + str(refusals.WANTED)
    known += SCRIPT.read_text()
    names = set()
    for path in REPOSITORY.glob("roles/*/tasks/*.yml"):
        if path.parts[-3] in ("so1_prometheus", "debian_packages"):
            continue
        for line in path.read_text().splitlines():
            if "debian_packages_names:" in line:
                names |= {
                    word
                    for word in line.replace('"', "'").split("'")
                    if word.islower() and " " not in word
                }
                names |= (
                    set(line.split("[")[1].split("]")[0].split(", "))
                    if "[" in line and "'" not in line
                    else set()
                )
    assert "python3-requests" in names
    assert "cron" in names
    for name in names - {""}:
        assert name in known, name


def test_the_script_tells_as_json() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, json.dumps(NOTHING)], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["installed"] == []
    assert isinstance(answer["refusals"], list)
    wanted = yaml.safe_load((REPOSITORY / "roles/preflight/vars/main.yml").read_text())
    assert wanted["preflight_wanted"].keys() == refusals.WANTED.keys()
