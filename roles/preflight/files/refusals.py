# SPDX-License-Identifier: MIT
"""Look at a host, change nothing, and say in one sentence each why SO1 cannot be set up on it.

usage: refusals.py JSON

JSON is an object of what is wanted, see WANTED. Prints an object: `refusals`, the sentences; `needed`, the packages
that the host must have; `installed`, those of them that it has.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Wanted = dict[str, Any]
Answer = Callable[[tuple[str, ...]], tuple[int, str]]

WANTED: Wanted = {
    "docker_engine": True,  # whether the role docker_engine looks after the engine
    "docker_host": "unix:///var/run/docker.sock",
    "docker_packages": ["docker.io", "apparmor"],
    "procinfo": True,  # sysinfo, continfo and so1_exits
    "memlimit": True,  # so2_memlimit
    "suffix": "202300539",
    "daemon": True,
    "source": "auto",
    "workload": False,
    "grafana": True,
    "grafana_address": "127.0.0.1",
    "grafana_port": 3000,
    "packages": [],  # besides those for the engine and the kernel's headers
}
WITHOUT_MODULES = (
    "set kernel_modules_enabled=false and kernel_modules_memlimit_enabled=false; "
    "the daemon will read /proc instead"
)
MODULES = ("sysinfo", "continfo", "so1_exits", "so2_memlimit")
WAITS = ("-o=Acquire::Retries=0", "-o=Acquire::http::Timeout=20", "-o=Acquire::https::Timeout=20")


class Host:
    """The host, or for the tests a folder and answers to commands."""

    def __init__(self, root: Path = Path("/"), answer: Answer | None = None) -> None:
        """Take `answer` in the place of running commands: a function of their words."""
        self.root = root
        self.answer = answer
        self.kernel = os.uname().release

    def path(self, name: str) -> Path:
        """Where a file of the host's is."""
        return self.root / name.lstrip("/")

    def there(self, name: str) -> bool:
        """Whether there is anything of that name, a link to nowhere too."""
        return os.path.lexists(self.path(name))

    def read(self, name: str) -> str:
        """What is in a file; nothing where it cannot be read."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def names(self, name: str) -> list[str]:
        """What is in a folder; nothing where there is none."""
        try:
            return sorted(entry.name for entry in self.path(name).iterdir())
        except OSError:
            return []

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command: its status, and all that it said."""
        if self.answer:
            return self.answer(command)
        path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "LC_ALL": "C", "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=300,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return 127, str(error)
        return done.returncode, done.stdout.decode(errors="replace")

    def ask(self, path: str, question: str) -> str:
        """Ask an HTTP server on a Unix socket; raises OSError where it does not answer."""
        if self.answer:
            return self.answer(("ask", question))[1]
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        with contextlib.closing(connection.sock):
            connection.sock.connect(str(self.path(path)))
            try:
                connection.request("GET", question)
                return connection.getresponse().read().decode(errors="replace")
            except http.client.HTTPException as error:
                raise OSError(str(error)) from error

    def entry(self, database: str, name: str) -> list[str] | None:
        """Give a line of passwd or group, in parts; None where there is none."""
        for line in self.read(f"/etc/{database}").splitlines():
            parts = line.split(":")
            if parts[0] == name:
                return parts
        return None

    def command(self, name: str) -> bool:
        """Whether there is a command."""
        folders = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
        return any(self.there(f"{folder}/{name}") for folder in folders)

    def unit_file(self, name: str) -> str | None:
        """Where a unit of systemd's is; None where there is none."""
        for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"):
            if self.there(f"{folder}/systemd/system/{name}"):
                return f"{folder}/systemd/system/{name}"
        return None


# The machine.


def container(host: Host, wanted: Wanted) -> Iterator[str]:
    """A container has its host's kernel, and sees its own processes alone."""
    inside = host.read("/run/systemd/container").strip()
    if not inside:
        environment = host.read("/proc/1/environ").split("\0")
        inside = "".join(
            line[len("container=") :] for line in environment if line.startswith("container=")
        )
    if inside:
        yield (
            f"This host is a container ({inside}): it sees its own processes alone, and its kernel is another host's; "
            "name the host that it runs on in the group `monitored` instead."
        )


def cgroups(host: Host, wanted: Wanted) -> Iterator[str]:
    """Containers are told apart by them."""
    if not host.there("/sys/fs/cgroup/cgroup.controllers"):
        yield (
            "Containers are told apart by cgroup v2, which this host does not use; boot it without "
            "systemd.unified_cgroup_hierarchy=0."
        )


def hidden_processes(host: Host, wanted: Wanted) -> Iterator[str]:
    """Without the modules the daemon reads /proc, as a user."""
    if not wanted["daemon"] or (wanted["procinfo"] and wanted["source"] != "procfs"):
        return
    for line in host.read("/proc/mounts").splitlines():
        parts = line.split()
        if (
            len(parts) > 3
            and parts[1] == "/proc"
            and re.search(r"(^|,)hidepid=(?!0|off)", parts[3])
        ):
            group = host.entry("group", "so1")
            if group and f"gid={group[2]}" in parts[3].split(","):
                continue
            yield (
                "/proc hides other users' processes (hidepid), so the daemon would see none of them; take hidepid= "
                "out of the options of /proc, or set kernel_modules_enabled=true and so1_daemon_source=auto."
            )


# The kernel.


def loaded(host: Host, module: str) -> bool:
    """Whether our module is loaded; one that is built into a kernel counts."""
    return host.there(f"/sys/module/{module}/parameters/gid")


def wanted_modules(wanted: Wanted) -> list[str]:
    """Give those that are to be loaded."""
    return (list(MODULES[:3]) if wanted["procinfo"] else []) + (
        list(MODULES[3:]) if wanted["memlimit"] else []
    )


def closed_kernel(host: Host, wanted: Wanted) -> Iterator[str]:
    """What is loaded already may stay as it is."""
    modules = wanted_modules(wanted)
    if not modules or all(loaded(host, module) for module in modules):
        return
    if host.read("/proc/sys/kernel/modules_disabled").strip() == "1":
        yield (
            "The kernel loads no module any more until it is booted anew (kernel.modules_disabled=1); take that out "
            f"of /etc/sysctl.d and reboot, or {WITHOUT_MODULES}."
        )


def unsigned_modules(host: Host, wanted: Wanted) -> Iterator[str]:
    """DKMS signs what it builds; the key counts where the firmware knows it."""
    if not wanted_modules(wanted):
        return
    mode = re.search(r"\[(\w+)\]", host.read("/sys/kernel/security/lockdown"))
    enforced = host.read("/sys/module/module/parameters/sig_enforce").strip() == "Y"
    if (not mode or mode[1] == "none") and not enforced:
        return
    key = "/var/lib/dkms/mok.pub"
    if says(host, "/etc/os-release", "^ID=ubuntu$"):
        key = "/var/lib/shim-signed/mok/MOK.der"  # where Ubuntu's DKMS keeps it
    own = re.search(
        r"^\s*mok_certificate=[\"']?([^\"'\s]+)", host.read("/etc/dkms/framework.conf"), re.M
    )
    key = own[1] if own else key
    if host.there(key) and "is already enrolled" in host.run("mokutil", "--test-key", key)[1]:
        return
    state = "accepts signed modules only (sig_enforce)"
    if mode and mode[1] != "none":
        state = f"is locked down ({mode[1]}; Secure Boot does this)"
    yield (
        f"The kernel {state} and refuses modules built on this host; enroll DKMS' key "
        f"(`mokutil --import {key}`, then reboot), turn Secure Boot off, or {WITHOUT_MODULES}."
    )


def real_time(host: Host, wanted: Wanted) -> Iterator[str]:
    """The limiter's lock may not be held there."""
    if wanted["memlimit"] and (
        host.read("/sys/kernel/realtime").strip() == "1"
        or "CONFIG_PREEMPT_RT=y" in host.read(f"/boot/config-{host.kernel}").splitlines()
    ):
        yield (
            f"The memory limiter cannot be built for a real-time kernel ({host.kernel}); "
            "set kernel_modules_memlimit_enabled=false."
        )


def others_modules(host: Host, wanted: Wanted) -> Iterator[str]:
    """Modules of our names that are not ours; ours have a parameter that says who may read."""
    for module in wanted_modules(wanted):
        if host.there(f"/sys/module/{module}/initstate") and not loaded(host, module):
            yield (
                f"A kernel module {module} is loaded that is not SO1's; unload it (`rmmod {module}`) if nobody needs "
                "it, or set kernel_modules_enabled=false."
            )
    for module in MODULES[:3] if wanted["procinfo"] else ():
        file = f"/proc/{module.removeprefix('so1_')}_so1_{wanted['suffix']}"
        if host.there(file) and not loaded(host, module):
            yield f"{file} is another kernel module's; unload that, or set kernel_modules_suffix to another end."


# What others have on the host.


def says(host: Host, file: str, pattern: str) -> bool:
    """Whether a file has a line that only ours has."""
    return re.search(pattern, host.read(file), re.M) is not None


def our_prefix(host: Host) -> bool:
    """Whether /opt/so1 is ours; of versions before the mark, what their installation wrote last."""
    venv = host.path("/opt/so1/venv")
    link = str(venv.readlink()) if venv.is_symlink() else ""
    return (
        link.startswith("releases/")
        or host.there("/opt/so1/.so1")
        or host.there("/opt/so1/venv/.installed")
    )


def our_user(host: Host) -> bool:
    """Whether there is a user so1, and it is ours."""
    user = host.entry("passwd", "so1")
    return user is not None and user[5:7] == ["/var/lib/so1", "/usr/sbin/nologin"]


def foreign(host: Host, wanted: Wanted) -> Iterator[str]:
    """What bears our names and is not ours, with a word of what it is."""
    if wanted["daemon"]:
        user = host.entry("passwd", "so1")
        if user and not our_user(host):
            yield f"the user so1 (its home is {user[5]})"
        if host.names("/opt/so1") and not our_prefix(host):
            yield "the folder /opt/so1"
        state = host.names("/var/lib/so1")
        if (
            state
            and not our_user(host)
            and not any(name.startswith("metrics.db") for name in state)
        ):
            yield "the folder /var/lib/so1"
        teller = host.entry("passwd", "so1-notify")
        if teller and teller[5:7] != ["/var/lib/so1-notify", "/usr/sbin/nologin"]:
            yield f"the user so1-notify (its home is {teller[5]})"
        if host.names("/var/lib/so1-notify") and not teller:
            yield "the folder /var/lib/so1-notify"
        link = "/usr/local/bin/so1"
        if host.there(link):
            target = str(host.path(link).readlink()) if host.path(link).is_symlink() else ""
            if not target.startswith("/opt/so1/"):
                yield f"the command {link}"
        for name in ("so1", "so1-notify-webhook", "so1-notify-mail"):
            unit = host.unit_file(f"{name}.service")
            if unit and not says(host, unit, "^ExecStart=/opt/so1/"):
                yield f"the service {unit}"
        file = "/etc/so1/config.toml"
        if host.there(file) and not says(host, file, "`so1 config check`"):
            yield f"the file {file}"
    group = host.entry("group", "so1")
    if group and int(group[2]) >= 1000 and not our_user(host):
        yield f"the group so1 (number {group[2]}, a person's)"
    if wanted["procinfo"] or wanted["memlimit"]:
        file = "/etc/modprobe.d/so1.conf"
        if host.there(file) and not says(host, file, "^options (sysinfo|so2_memlimit) .*gid="):
            yield f"the file {file}"
    if wanted["workload"]:
        file = "/etc/cron.d/so1-workload"
        if host.there(file) and not says(host, file, "so1 workload generate$"):
            yield f"the file {file}"


def others_things(host: Host, wanted: Wanted) -> Iterator[str]:
    """Never taken over, and so never deleted."""
    found = list(foreign(host, wanted))
    if found:
        yield (
            f"SO1 did not make {', '.join(found)}, and would take it over; rename or remove it, "
            "or take this host out of the group `monitored`."
        )


# The engine.


def ask_engine(host: Host, wanted: Wanted, path: str) -> Any:
    """Ask the Docker Engine on its socket; None where nothing answers."""
    kind, _separator, file = wanted["docker_host"].partition("://")
    if kind != "unix" or not host.there(file):
        return None
    try:
        return json.loads(host.ask(file, path))
    except (OSError, ValueError):
        return None


def engine_off(host: Host, wanted: Wanted) -> Iterator[str]:
    """Somebody's decision, most often because Docker runs rootless there."""
    if not wanted["docker_engine"] or not host.command("dockerd"):
        return
    if not host.unit_file("docker.service"):
        yield (
            "There is a dockerd on this host and no docker.service that starts it; give it one, or set "
            "docker_engine_enabled=false and so1_daemon_docker_host to its socket."
        )
        return
    enabled = host.run("systemctl", "is-enabled", "docker.service")[1].strip().splitlines()[-1:]
    if enabled not in (["disabled"], ["masked"], ["masked-runtime"]):
        return
    if host.run("systemctl", "is-active", "--quiet", "docker.service", "docker.socket")[0] == 0:
        return
    yield (
        f"The Docker Engine is installed and its service is {enabled[0]}, as where Docker runs rootless; turn it on "
        "(`systemctl enable --now docker`), or set docker_engine_enabled=false and so1_daemon_docker_host to the "
        "socket of the engine that runs."
    )


def load_alone(host: Host, wanted: Wanted) -> Iterator[str]:
    """The test load is made by the daemon's command, as the daemon's user."""
    if wanted["workload"] and not wanted["daemon"]:
        yield "workload_enabled=true needs the daemon; set so1_daemon_enabled=true, or workload_enabled=false too."


def no_group(host: Host, wanted: Wanted) -> Iterator[str]:
    """The engine's package makes it; an engine of another origin may not have it."""
    coming = wanted["docker_engine"] and not host.command("dockerd")
    if wanted["daemon"] and not coming and host.entry("group", "docker") is None:
        yield (
            "This host has no group docker, through which the daemon reaches the engine; make it "
            "(`groupadd --system docker`) and restart the engine."
        )


def others_grafana(host: Host, wanted: Wanted) -> Iterator[str]:
    """A container or a volume of the name, and the port."""
    if not wanted["grafana"]:
        return
    ours = False
    answer = ask_engine(host, wanted, "/containers/grafana_so1/json")
    if answer and "Mounts" in answer:
        ours = any(
            mount.get("Source", "").startswith("/etc/so1/grafana/") for mount in answer["Mounts"]
        )
        if not ours:
            yield (
                "The container grafana_so1 on this host is not SO1's; rename it (`docker rename grafana_so1 NAME`), "
                "or set so1_grafana_enabled=false."
            )
    password = host.there("/etc/so1/grafana-admin-password")
    if not ours and not password:
        answer = ask_engine(host, wanted, "/volumes/grafana_so1")
        if answer and "Mountpoint" in answer:
            yield (
                "The Docker volume grafana_so1 on this host is not SO1's, or its password is lost; remove it "
                "(`docker volume rm grafana_so1`) if nobody needs it, or set so1_grafana_enabled=false."
            )
    # Behind an engine that does not answer, ours may be what listens.
    if (
        not ours
        and not host.there("/etc/so1/grafana")
        and taken(host, wanted["grafana_address"], int(wanted["grafana_port"]))
    ):
        yield (
            f"Something else listens on port {wanted['grafana_port']} of this host, where Grafana would answer; set "
            "so1_grafana_port to a free one, or so1_grafana_enabled=false."
        )


def taken(host: Host, address: str, port: int) -> bool:
    """Whether a socket listens on a port at an address, by the kernel's own tables."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in host.read(table).splitlines()[1:]:
            parts = line.split()
            local, number = parts[1].rsplit(":", 1)
            if parts[3] != "0A" or int(number, 16) != port:
                continue
            everywhere = not local.strip("0")
            wide = address in ("0.0.0.0", "::")
            if everywhere or wide or table.endswith("6") or local == packed(address):
                return True
    return False


def packed(address: str) -> str:
    """Give an IPv4 address as /proc/net/tcp writes it."""
    parts = address.split(".")
    if len(parts) != 4:
        return ""
    return "".join(f"{int(part):02X}" for part in reversed(parts))


# The packages.


def packages(host: Host, wanted: Wanted) -> list[str]:
    """Give all that are needed, and what is said where no source has one."""
    needed = list(wanted["packages"])
    if wanted["docker_engine"] and not host.command("dockerd"):
        needed += wanted["docker_packages"]
    # A tree to build against is enough: a kernel of one's own has no package.
    if wanted_modules(wanted) and not host.there(f"/lib/modules/{host.kernel}/build/Makefile"):
        needed.append(f"linux-headers-{host.kernel}")
    return needed


def installed(host: Host, names: list[str]) -> list[str]:
    """Give those that are installed."""
    if not names:
        return []
    said = host.run(
        "dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\\n", *names
    )[1]
    found = {line.split()[1] for line in said.splitlines() if line.startswith("installed ")}
    return [name for name in names if name in found]


def simulated(host: Host, names: list[str], *options: str) -> tuple[int, str]:
    """Ask apt what it would do: its status and words."""
    return host.run(
        "apt-get",
        "--simulate",
        "--no-remove",
        "--no-install-recommends",
        *options,
        "install",
        *names,
    )


def not_found(said: str) -> list[str]:
    """Give the packages that no list has."""
    return re.findall(r"Unable to locate package (\S+)", said) + re.findall(
        r"Package '?([^' ]+)'? has no installation candidate", said
    )


def removed(said: str) -> list[str]:
    """Give the packages that would go."""
    section = re.search(r"will be REMOVED:\n((?:  .*\n)+)", said)
    return section[1].split() if section else []


def not_installable(host: Host, wanted: Wanted) -> Iterator[str]:
    """Whether apt would install all that is missing, and take nothing away for it.

    Its own lists stay as they are: where they lack something, new ones are fetched beside them.
    """
    needed = packages(host, wanted)
    there = installed(host, needed)
    missing = [name for name in needed if name not in there]
    if not missing:
        return
    status, said = simulated(host, missing)
    fetched = ""
    if status and not_found(said):
        lists = tempfile.mkdtemp(prefix="so1-lists-")
        try:
            Path(lists).chmod(0o755)  # apt fetches as a user of its own
            beside = [
                f"-o=Dir::State::Lists={lists}",
                "-o=Dir::Cache::pkgcache=",
                "-o=Dir::Cache::srcpkgcache=",
            ]
            fetched = host.run("apt-get", *beside, *WAITS, "update")[1]
            status, said = simulated(host, missing, *beside)
        finally:
            shutil.rmtree(lists, ignore_errors=True)
    if status == 0:
        return
    lost = not_found(said)
    failures = re.findall(
        r"^[EW]: (Failed to fetch.*|.*does not have a Release file.*|.*is not signed.*)",
        fetched,
        re.M,
    )
    if lost and failures:
        yield (
            f"This host lacks {', '.join(lost)}, and apt cannot read its sources ({failures[0].strip()}); "
            "mend them or the network (`apt-get update` shows it)."
        )
    elif f"linux-headers-{host.kernel}" in lost:
        yield (
            f"No package has the headers of the running kernel ({host.kernel}); upgrade the kernel and reboot into "
            f"it, or {WITHOUT_MODULES}."
        )
    elif lost:
        yield f"No source of apt's has {', '.join(lost)}; add the one that has (`apt-cache policy` lists them)."
    elif removed(said):
        yield (
            f"apt would remove {', '.join(removed(said))} to install {', '.join(missing)}, and SO1 removes no package; "
            "remove it yourself, or install what is missing in a way that goes with it."
        )
    else:
        reasons = [
            line.strip()
            for line in said.splitlines()
            if line.startswith("E: ") or " Depends: " in line
        ]
        yield f"apt cannot install {', '.join(missing)} ({' '.join(reasons)}); `apt-get --fix-broken install` may help."


CHECKS = (
    container,
    cgroups,
    hidden_processes,
    closed_kernel,
    unsigned_modules,
    real_time,
    others_modules,
    others_things,
    engine_off,
    load_alone,
    no_group,
    others_grafana,
    not_installable,
)


def main() -> None:
    """Print what was found."""
    wanted = {**WANTED, **json.loads(sys.argv[1])}
    host = Host()
    found = [sentence for check in CHECKS for sentence in check(host, wanted)]
    needed = packages(host, wanted)
    there = installed(host, needed)
    print(json.dumps({"refusals": found, "needed": needed, "installed": there}))


if __name__ == "__main__":
    main()
