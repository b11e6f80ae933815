# SPDX-License-Identifier: MIT
"""The clients in Python, `so1 limit` and so2_memory_limit, through the door of this kernel; TAP."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, "/packages")

from click.testing import CliRunner

from so1.cli import main
from so1.memory_limiter import DEVICE, LISTED, NOT_LISTED, Limit, Limiter, LimiterError

MIB = 1 << 20
MANY = 300
"""More than the first buffer of either client has room for."""
NOBODY = 65534
DOOR = "device" if DEVICE.exists() else "system calls"

number = 0


def ok(true: object, what: str, seen: object = "") -> None:
    """Print one result; what was seen where it is not what it should be."""
    global number  # noqa: PLW0603 - the numbers of TAP
    number += 1
    print(f"{'ok' if true else 'not ok'} {number} - {what} ({DOOR})", flush=True)
    if not true:
        print(f"# {seen!r}", flush=True)


class Subject:
    """A child that allocates when it is told to."""

    def __init__(self) -> None:
        """Fork it."""
        read, self._orders = os.pipe()
        self._answers, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            # Else it would hold its own pipe open and never see the end of it.
            os.close(self._orders)
            self._serve(read, write)
        os.close(read)
        os.close(write)

    def _serve(self, orders: int, answers: int) -> None:
        while order := os.read(orders, 8):
            try:
                bytearray(int.from_bytes(order, "little"))
                answer = b"y"
            except MemoryError:
                answer = b"n"
            os.write(answers, answer)
        os._exit(0)

    def may_have(self, size: int) -> bool:
        """Whether it gets so many bytes more; it lives on where it does not."""
        os.write(self._orders, size.to_bytes(8, "little"))
        return os.read(self._answers, 1) == b"y"

    def size(self) -> int:
        """Bytes of address space."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmSize:\s+(\d+)", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def end(self) -> None:
        """Let it exit."""
        os.close(self._orders)
        os.waitpid(self.pid, 0)


def so1(*words: object) -> tuple[int, str]:
    """Run `so1 limit`: its exit code, all it says."""
    done = CliRunner().invoke(main, ["limit", *map(str, words)])
    return done.exit_code, done.output


def module(options: dict[str, str | int], *, check: bool = False) -> dict[str, object]:
    """Run the Ansible module as Ansible does: what it answers."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}}
    done = subprocess.run(
        [sys.executable, "/packages/so2_memory_limit.py"],
        input=json.dumps(arguments),
        env={"PYTHONPATH": "/packages", "PATH": "/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: dict[str, object] = json.loads(done.stdout)
    except ValueError:
        return {"failed": True, "msg": done.stdout + done.stderr}
    return answer


def command_line() -> None:
    """`so1 limit add|list|update|remove`, and what comes of it."""
    subject = Subject()
    limit = subject.size() + 64 * MIB
    ok(subject.may_have(256 * MIB), "without a limit there is memory")
    ok(so1("add", subject.pid, "--limit", limit)[0] == 0, "so1 limit add")
    ok(subject.may_have(16 * MIB), "within the limit there is memory")
    ok(not subject.may_have(256 * MIB), "beyond it Python has a MemoryError")
    ok(subject.may_have(16 * MIB), "and lives on")

    code, said = so1("list", "--json")
    wanted = [
        {"pid": subject.pid, "name": Path("/proc/self/comm").read_text()[:-1], "limit": limit}
    ]
    ok(code == 0 and json.loads(said) == wanted, "so1 limit list gives it back to the byte", said)
    code, said = so1("add", subject.pid, "--limit", "1G")
    ok(code == 1 and "is limited already" in said, "a second add is refused in a sentence", said)
    ok(so1("update", subject.pid, "--limit", "1T")[0] == 0, "so1 limit update")
    ok(subject.may_have(256 * MIB), "the new limit is the one that counts")
    ok(so1("remove", subject.pid)[0] == 0, "so1 limit remove")
    code, said = so1("remove", subject.pid)
    ok(code == 1 and "is not limited" in said, "a second remove is refused in a sentence", said)
    for pid, what in ((2, "it is a kernel thread"), (2**22 - 1, "there is no process")):
        code, said = so1("add", pid, "--limit", "1G")
        ok(code == 1 and what in said, f"{what}: so1 limit add says so", said)
    subject.end()


def run() -> None:
    """`so1 limit run`."""
    lives_on = "try: bytearray(1 << 30)\nexcept MemoryError: print('refused')"
    command = "import sys; from so1.cli import main; main(sys.argv[1:])"
    words = ["limit", "run", "--limit", "512M", "--", sys.executable, "-c", lives_on]
    done = subprocess.run(
        [sys.executable, "-c", command, *words],
        env={"PYTHONPATH": "/packages", "PATH": "/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    ok(
        (done.returncode, done.stdout) == (0, "refused\n"),
        "so1 limit run limits from the start",
        done,
    )


def ansible() -> None:
    """The states of the Ansible module."""
    subject = Subject()
    present: dict[str, str | int] = {"pid": subject.pid, "limit": "1G"}
    for check, changed in ((True, True), (False, True), (False, False)):
        answer = module(present, check=check)
        mode = "in check mode " if check else ""
        ok(answer.get("changed") is changed, f"present {mode}changes something: {changed}", answer)
    ok(Limiter().limits() == [Limit(subject.pid, 1 << 30)], "so2_memory_limit: present is limited")
    answer = module({"pid": subject.pid, "state": "absent"})
    ok(answer.get("changed") is True and not Limiter().limits(), "absent lifts the limit", answer)
    subject.end()
    answer = module(present)
    ok("no process" in str(answer.get("msg")), "a process that is gone: a sentence", answer)


def code_of(operation: Callable[..., None], *arguments: int) -> int:
    """The code with which an operation is refused; 0 where it is not."""
    try:
        operation(*arguments)
    except LimiterError as error:
        return error.code
    return 0


def library() -> None:
    """What the command line does not reach: codes, privileges, a long list."""
    limiter = Limiter()
    children = []
    for _ in range(MANY):
        pid = os.fork()
        if not pid:
            signal.pause()
        children.append(pid)
        limiter.add(pid, pid << 30)
    ok(
        limiter.limits() == [Limit(pid, pid << 30) for pid in children],
        f"{MANY} are listed, in the order in which they were limited",
    )
    ok(code_of(limiter.add, children[0], MIB) == LISTED, "listed: -101")

    pid = os.fork()
    if not pid:
        os.setuid(NOBODY)
        may_read = len(limiter.limits()) == MANY
        os._exit(0 if code_of(limiter.add, children[0], MIB) == errno.EPERM and may_read else 1)
    ok(os.waitpid(pid, 0)[1] == 0, "a user may read the list and change nothing")

    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    ok(limiter.limits() == [], "who exits is listed no more")
    subject = Subject()
    ok(code_of(limiter.remove, subject.pid) == NOT_LISTED, "not listed: -102")
    subject.end()


for part in (command_line, run, ansible, library):
    part()
