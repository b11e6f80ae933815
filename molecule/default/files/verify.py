#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Uses a set-up host as its owner would, and says what does not work; needs root."""

from __future__ import annotations

import contextlib
import errno
import grp
import json
import os
import pwd
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

SUFFIX = "202300539"
SO1 = "/usr/local/bin/so1"
DATABASE = Path("/var/lib/so1/metrics.db")
CONFIGURATION = Path("/etc/so1/config.toml")
READER = f"""
import contextlib, select, sqlite3, sys
reads = 0
while not select.select([sys.stdin], [], [], 0.2)[0]:
    # As Grafana's plugin does, for each query anew.
    with contextlib.closing(sqlite3.connect("file:{DATABASE}?mode=ro", uri=True)) as database:
        database.execute("SELECT * FROM metrics ORDER BY timestamp DESC LIMIT 100").fetchall()
    reads += 1
print(reads)
"""
PATIENCE = 240
"""Seconds that anything may take; an emulated machine is slow."""


def run(*command: str, codes: tuple[int, ...] = (0,), patience: int = PATIENCE) -> str:
    """Run a command and return what it printed; any other exit code than these is a failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
    if done.returncode not in codes:
        raise AssertionError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}"
        )
    return done.stdout


def query(text: str) -> list[tuple[Any, ...]]:
    """Ask the database, as a reader that cannot write."""
    with contextlib.closing(
        sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10)
    ) as reader:
        return reader.execute(text).fetchall()


def newest(table: str) -> int:
    """Tell the last row of a table; rows go by id, as clocks are set."""
    return int(query(f"SELECT ifnull(max(id), 0) FROM {table}")[0][0])


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{PATIENCE} s on, still not: {what}")
        time.sleep(2)


def kernel(name: str) -> Any:
    """Read one of the kernel's documents."""
    return json.loads(Path(f"/proc/{name}_so1_{SUFFIX}").read_text())


@contextlib.contextmanager
def read_by_grafanas_user() -> Iterator[None]:
    """Have the database read all the while by who has Grafana's number and group."""
    user = ("setpriv", "--reuid=472", "--regid=so1", "--clear-groups")
    with subprocess.Popen(
        [*user, sys.executable, "-c", READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as reader:
        try:
            yield
        finally:
            reads, complaint = reader.communicate()
    assert reader.returncode == 0, complaint
    assert int(reads) > 10, reads


def containers(*filters: str) -> set[str]:
    """List the full ids of the running containers."""
    arguments = [word for one in filters for word in ("--filter", one)]
    return set(run("docker", "ps", "--quiet", "--no-trunc", *arguments).split())


@contextlib.contextmanager
def stopped(unit: str) -> Iterator[None]:
    """Have a unit stopped for a while."""
    run("systemctl", "stop", unit)
    try:
        yield
    finally:
        run("systemctl", "start", unit)


def files_are_for_the_group_alone() -> None:
    for name in ("sysinfo", "continfo", "exits"):
        status = Path(f"/proc/{name}_so1_{SUFFIX}").stat()
        assert stat.S_IMODE(status.st_mode) == 0o440, oct(status.st_mode)
        assert (pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name) == (
            "root",
            "so1",
        )


def a_container_does_not_see_the_host() -> None:
    for name in ("sysinfo", "continfo", "exits"):
        path = f"/proc/{name}_so1_{SUFFIX}"
        assert not run("docker", "run", "--rm", "so1-lab/alpine", "cat", path, codes=(1,))


def services_with_a_uts_namespace_of_their_own_are_no_containers() -> None:
    ours = Path("/proc/1/ns/uts").readlink()
    services = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "ns/uts").readlink() != ours and ".service" in (path / "cgroup").read_text():
                services.add(int(path.name))
    assert len(services) >= 2, f"too few to say anything: {services}"
    seen = {process["pid"] for process in kernel("continfo")}
    assert not services & seen, services & seen


def containers_have_exactly_their_processes() -> None:
    run("docker", "rm", "--force", "stranger", codes=(0, 1))
    run(
        *("docker", "run", "--detach", "--name", "stranger", "--uts=host", "--pid=host"),
        *("so1-lab/alpine", "sh", "-c", "sleep 7200 & sh -c 'sleep 7200; true'; true"),
    )
    until(
        "three processes in the container",
        lambda: len(run("docker", "top", "stranger").splitlines()) == 5,
    )
    whole = run("docker", "inspect", "--format", "{{.Id}}", "stranger").strip()
    wanted = {int(line.split()[1]) for line in run("docker", "top", "stranger").splitlines()[1:]}
    seen = {process["pid"] for process in kernel("continfo") if process["container_id"] == whole}
    assert seen == wanted, (seen, wanted)
    # Test load comes and goes between the two readings.
    until(
        "the kernel names the containers that Docker does",
        lambda: {process["container_id"] for process in kernel("continfo")} == containers(),
    )


def both_sources_agree() -> None:
    run("/opt/so1/venv/bin/python", "/run/so1-agreement.py")


def containers_use_what_the_kernel_charges_them() -> None:
    told = run("/opt/so1/venv/bin/python", "/run/so1-charged.py", patience=3 * PATIENCE)
    print(told, end="", flush=True)


def the_governor_keeps_the_best_three_and_two() -> None:
    with stopped("so1"):
        run(SO1, "cleanup", "--yes")
        stress = ["stress", "--vm", "1", "--vm-keep", "--vm-hang", "0", "--vm-bytes"]
        told = newest("events")
        low = [("low", f"low-{number}", "so1-lab/alpine", ["sleep", "7200"]) for number in range(7)]
        high = [
            ("high", f"high-{number}", "so1-lab/stress", [*stress, f"{8 + 16 * number}M"])
            for number in range(5)
        ]

        def start(one: tuple[str, str, str, list[str]]) -> None:
            class_, name, image, command = one
            run(
                *("docker", "run", "--detach", "--rm", "--name", name, "--stop-signal", "SIGKILL"),
                *("--label", "so1.managed=true", "--label", f"so1.class={class_}", image, *command),
            )

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(start, low + high))
        assert len(containers("label=so1.managed=true")) == 12
        until("all have their memory", lambda: "stress-ng-vm" in str(kernel("continfo")))
        time.sleep(5)
    until("five managed containers", lambda: len(containers("label=so1.managed=true")) == 5)
    time.sleep(25)  # another tick removes nothing more
    names = run(
        "docker", "ps", "--filter", "label=so1.managed=true", "--format", "{{.Names}}"
    ).split()
    assert sum(name.startswith("low") for name in names) == 3, names
    assert {name for name in names if name.startswith("high")} == {"high-0", "high-1"}, names
    assert containers("name=^stranger$"), "a container that was never handed over is gone"
    # What cleanup removed while the daemon stood still may be stored only now.
    events = query(
        "SELECT rule, recreate FROM events WHERE kind = 'remove' AND outcome = 'done'"
        f" AND rule <> 'cleanup' AND id > {told}"
    )
    assert len(events) == 7, events
    assert all(rule == "emergency" and "docker run" in recreate for rule, recreate in events), (
        events
    )


def the_past_decides_again_as_the_daemon_did() -> None:
    body = json.loads(run(SO1, "replay", "--since", "4w", "--json"))
    # All that the governor removed since decisions are stored was decided on again.
    assert body["only_really"] == [], body["only_really"]
    done = [one for one in body["removals"] if (one["really"] or {}).get("outcome") == "done"]
    assert len(done) >= 7, body
    for one in done:
        told = one["really"]
        same = {"rule": "rule", "class_": "class", "memory": "ram_usage", "cpu": "cpu_usage"}
        assert [one[ours] for ours in same] == [told[its] for its in same.values()], one
    # With nothing to keep, all that ran would have gone.
    none = json.loads(
        run(SO1, "replay", "--since", "4w", "--json", "--keep-low", "0", "--keep-high", "0")
    )
    assert len(none["removals"]) >= len(done), none


def main_pid() -> str:
    """Tell the daemon's process; 0 where none runs."""
    return run("systemctl", "show", "--property=MainPID", "--value", "so1").strip()


def the_daemon_is_confined() -> None:
    assert Path(f"/proc/{main_pid()}").owner() == "so1"
    shown = run("systemctl", "show", "--property=Type,WatchdogUSec", "so1").split()
    assert shown == ["Type=notify", "WatchdogUSec=4min"], shown
    # Tenths, of 10: what roles/so1_daemon/README.md says of it.
    run("systemd-analyze", "security", "--threshold=6", "--no-pager", "so1")


def the_daemon_ticks_and_tells_where_from() -> None:
    later = f"FROM metrics WHERE id > {newest('metrics')} ORDER BY id"
    with read_by_grafanas_user():
        until("two more ticks", lambda: len(query(f"SELECT 1 {later}")) >= 2)
    (first, source), (second, _) = query(f"SELECT timestamp, source {later} LIMIT 2")
    assert 15_000 < second - first < 25_000, "a tick every 20 s"
    assert source == "module"
    assert query(
        "SELECT count(*) > 0 FROM container_totals WHERE container_name = 'stranger'"
        f" AND timestamp IN (SELECT timestamp {later})"
    ) == [(1,)]
    assert "running" in run(SO1, "status")


def a_killed_daemon_comes_back_to_a_whole_database() -> None:
    pid = main_pid()
    os.kill(int(pid), 9)
    last = newest("metrics")
    until("a new daemon", lambda: main_pid() not in (pid, "0"))
    until("a tick of its own", lambda: newest("metrics") > last)
    assert query("PRAGMA integrity_check") == [("ok",)]


def a_broken_configuration_is_named_and_not_taken() -> None:
    good, pid, began = CONFIGURATION.read_text(), main_pid(), time.time()
    told = newest("events")
    try:
        CONFIGURATION.write_text("bogus = 1\n" + good)
        complaint = subprocess.run(
            [SO1, "config", "check"], capture_output=True, text=True, check=False
        )
        assert complaint.returncode == 1, complaint
        assert "bogus" in complaint.stderr, complaint
        assert "Traceback" not in complaint.stderr, complaint
        run("systemctl", "reload", "so1")
        # Two signals that come at once would be one.
        journal = ("journalctl", "--unit=so1", f"--since=@{began:.0f}", "--output=cat")
        until("what came of it", lambda: "was not reloaded" in run(*journal))
    finally:
        CONFIGURATION.write_text(good)
        run("systemctl", "reload", "so1")
    said = f"SELECT outcome, detail FROM events WHERE kind = 'config' AND id > {told}"
    until("what came of both reloads", lambda: len(query(said)) == 2)
    (refused, detail), (taken, _) = query(f"{said} ORDER BY id")
    assert (refused, taken) == ("failed", "done")
    assert "bogus" in detail, detail
    assert main_pid() == pid


@contextlib.contextmanager
def answering(*command: str) -> Iterator[tuple[int, Callable[[], str]]]:
    """Start what answers each line with whether it got memory; its pid, and how to ask."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def asks() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        try:
            yield process.pid, asks
        finally:
            process.kill()


def a_limited_process_is_refused_memory_and_lives_on() -> None:
    program = (
        "import mmap, sys\n"
        "for _ in sys.stdin:\n"
        "    try: kept = mmap.mmap(-1, 256 << 20); print('got', flush=True)\n"
        "    except OSError as error: print(error.errno, flush=True)\n"
    )
    with answering(sys.executable, "-c", program) as (pid, asks):
        assert asks() == "got"
        run(SO1, "limit", "add", str(pid), "--limit", "64M")
        assert asks() == str(errno.ENOMEM)
        listed = json.loads(run(SO1, "limit", "list", "--json"))
        assert [one["limit"] for one in listed if one["pid"] == pid] == [64 << 20]
        kernel_says = json.loads(Path("/proc/so2_memory_limits").read_text())
        assert pid in {one["pid"] for one in kernel_says}
        complaint = run(SO1, "limit", "add", str(pid), "--limit", "1G", codes=(1,))
        assert not complaint, complaint
        run(SO1, "limit", "remove", str(pid))
        assert asks() == "got"
    python = (sys.executable, "-c", "bytes(256 << 20)")
    refused = [SO1, "limit", "run", "--limit", "64M", "--", *python]
    assert (
        "MemoryError" in subprocess.run(refused, capture_output=True, text=True, check=False).stderr
    )


def a_containers_process_is_limited_from_the_host() -> None:
    # Each line is answered by a child, which has the limit that the shell has when it is forked.
    program = (
        "while read line; do busybox dd if=/dev/null of=/dev/null bs=256M count=1 2>/dev/null"
        " && echo got || echo refused; done"
    )
    run("docker", "rm", "--force", "limited", codes=(0, 1))
    shell = ("so1-lab/alpine", "sh", "-c", program)
    docker = ("docker", "run", "--rm", "--interactive", "--name", "limited", *shell)
    with answering(*docker) as (_, asks):
        assert asks() == "got"
        pid = run("docker", "inspect", "--format", "{{.State.Pid}}", "limited").strip()
        run(SO1, "limit", "add", pid, "--limit", "64M")
        assert asks() == "refused"
        run(SO1, "limit", "remove", pid)
        assert asks() == "got"
        run("docker", "rm", "--force", "limited")


def a_crash_is_told() -> None:
    told = newest("events")
    with subprocess.Popen(["sh", "-c", "kill -SEGV $$"]) as crashed:
        crashed.wait()
    listed = json.loads(run(SO1, "exits", "--since", "10m", "--failed", "--json"))
    assert [one["signal"] for one in listed if one["pid"] == crashed.pid] == [11], listed
    event = f"FROM events WHERE id > {told} AND kind = 'exit' AND detail LIKE '%{crashed.pid}%'"
    until("an event of it", lambda: bool(query(f"SELECT 1 {event}")))
    assert query(f"SELECT signal FROM exits WHERE pid = {crashed.pid}") == [(11,)]


def every_command_answers() -> None:
    run(SO1, "config", "check")
    assert json.loads(run(SO1, "snapshot", "--json"))
    for command in (
        ["plan"],
        ["replay"],
        ["events"],
        ["top", "--once"],
        ["report", "--format", "html"],
        ["workload", "generate", "--dry-run"],
    ):
        assert run(SO1, *command).strip(), command


def cron_makes_test_load() -> None:
    began = str(int(time.time()))
    until(
        "the test load's words in the journal",
        lambda: (
            "made so1-"
            in run("journalctl", "--identifier=so1-workload", f"--since=@{began}", "--output=cat")
        ),
    )
    assert containers("label=so1.managed=true")


class Receiver(BaseHTTPRequestHandler):
    """Takes what a webhook sends."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        """Keep it."""
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()


NOTIFY = Path("/var/lib/so1-notify")
SENDMAIL = Path("/usr/local/sbin/told-sendmail")
UNITS = ("so1-notify-webhook.service", "so1-notify-mail.service")


def letters() -> list[str]:
    """Read what sendmail was given."""
    return [
        message_from_bytes(one.read_bytes(), policy=policy.default).get_content()
        for one in NOTIFY.glob("letter.*")
    ]


def somebody_is_told_of_events_by_both_ways() -> None:
    SENDMAIL.write_text(
        f"#!/bin/sh\ncat >{NOTIFY}/new.$$ && mv {NOTIFY}/new.$$ {NOTIFY}/letter.$$\n"
    )
    SENDMAIL.chmod(0o755)
    server = HTTPServer(("127.0.0.1", 9077), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for unit in UNITS:
        run("systemctl", "is-active", unit)
    assert run(SO1, "notify", "test") == "webhook: sent\nmail: sent\n"
    good = CONFIGURATION.read_text()
    try:
        CONFIGURATION.write_text("interval = 0\n")
        run("systemctl", "reload", "so1", codes=(0, 1))
        until(
            "the webhook told of it",
            lambda: any(
                item["kind"] == "config"
                for body in Receiver.bodies
                for item in json.loads(body)["items"]
            ),
        )
        until("a letter told of it", lambda: any("config" in letter for letter in letters()))
    finally:
        CONFIGURATION.write_text(good)
        run("systemctl", "reload", "so1")
    # Whoever has the network must not have the engine.
    assert "docker" not in run("id", "-nG", "so1-notify").split()
    SENDMAIL.unlink()


def nothing_is_left_that_tells_of_events() -> None:
    for unit in UNITS:
        run("systemctl", "cat", unit, codes=(1,))
    assert not [one for one in pwd.getpwall() if one.pw_name == "so1-notify"]
    assert not Path("/etc/so1/notify-webhook").exists()
    assert not NOTIFY.exists()


TOLD = {
    "somebody": somebody_is_told_of_events_by_both_ways,
    "nobody": nothing_is_left_that_tells_of_events,
}
CHECKS = [
    files_are_for_the_group_alone,
    services_with_a_uts_namespace_of_their_own_are_no_containers,
    containers_have_exactly_their_processes,
    both_sources_agree,
    the_governor_keeps_the_best_three_and_two,
    the_past_decides_again_as_the_daemon_did,
    the_daemon_is_confined,
    the_daemon_ticks_and_tells_where_from,
]
NO_MATTER_OF_BOOTING = [
    a_container_does_not_see_the_host,
    containers_use_what_the_kernel_charges_them,
    a_killed_daemon_comes_back_to_a_whole_database,
    a_broken_configuration_is_named_and_not_taken,
    a_limited_process_is_refused_memory_and_lives_on,
    a_containers_process_is_limited_from_the_host,
    a_crash_is_told,
    every_command_answers,
]


def main() -> int:
    if sys.argv[1:2] == ["--told"]:
        return 0 if passes(TOLD[sys.argv[2]]) else 1
    failed = 0
    checks = CHECKS if sys.argv[1:] == ["--rebooted"] else CHECKS + NO_MATTER_OF_BOOTING
    # Only what is started here is to run.
    with stopped("cron"):
        until(
            "nothing makes containers", lambda: not run("pgrep", "-f", "so1 workload", codes=(0, 1))
        )
        for check in checks:
            failed += not passes(check)
    failed += not passes(cron_makes_test_load)
    return 1 if failed else 0


def passes(check: Callable[[], None]) -> bool:
    name = check.__name__.replace("_", " ")
    began = time.monotonic()
    try:
        check()
    except (AssertionError, OSError, ValueError, sqlite3.Error, subprocess.TimeoutExpired) as error:
        print(f"not ok - {name}: {error}", flush=True)
        return False
    print(f"ok - {name} ({time.monotonic() - began:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
