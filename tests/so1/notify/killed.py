# SPDX-License-Identifier: MIT
"""Runs a teller again and again, each in a process of its own that is killed at some moment.

usage: python -m tests.so1.notify.killed STORE STATE SECRET SENDMAIL KILLS LONGEST

Each lives for up to LONGEST seconds. What is imported stays; only a fork is needed for each. With
SECRET empty it is told by mail. After the last kill it makes the file STATE.killed, and one more
tells until standard input is closed.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from so1.config import Mail, Notify, Webhook
from so1.notify import teller
from so1.notify.ways import sender


def tell(store: Path, state: Path, secret: str, sendmail: str) -> None:
    """Tell until killed; where there is nothing to tell, look again at once."""
    policy = Notify(
        batch_seconds=0,
        per_hour=3_600,
        webhook=Webhook(enabled=bool(secret), secret=secret),
        mail=Mail(enabled=not secret, sendmail=sendmail),
    )
    send = sender(policy, "webhook" if secret else "mail")
    assert send
    made = teller.Teller(policy, store, state, send, "web-1")
    while True:
        if made.step():
            time.sleep(0.002)


def main() -> None:
    """Kill as often as was asked for, then let one tell what is left."""
    store, state, secret, sendmail, kills, longest = sys.argv[1:]
    dice = random.Random(int(kills))
    arguments = Path(store), Path(state), secret, sendmail
    for _ in range(int(kills)):
        child = started(*arguments)
        time.sleep(dice.uniform(0, float(longest)))
        kill(child)
    Path(f"{state}.killed").touch()
    child = started(*arguments)
    sys.stdin.read()
    kill(child)


def started(store: Path, state: Path, secret: str, sendmail: str) -> int:
    """Fork one that tells; gives its pid."""
    child = os.fork()
    if not child:
        try:
            tell(store, state, secret, sendmail)
        finally:
            os._exit(1)
    return child


def kill(child: int) -> None:
    """Kill it, and see that it was not over before."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended by itself"


main()
