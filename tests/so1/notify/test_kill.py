# SPDX-License-Identifier: MIT
"""kill -9 at any moment: nobody misses an event, and each has its one message.

SO1_RESTARTS says how often it is killed; 1000 takes some minutes.
"""

import email
import email.policy
import json
import logging
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from so1.store.database import Database
from so1.store.event import Event
from tests.so1.notify.conftest import Happen
from tests.so1.notify.receiver import Receiver, Sendmail
from tests.so1.notify.running import wait_until
from tests.support.plays import REPOSITORY

_log = logging.getLogger(__name__)
RESTARTS = int(os.environ.get("SO1_RESTARTS", "60"))
WAITING = 60


def tell_and_kill(
    database: Database, state: Path, secret: object, sendmail: object, longest: float
) -> int:
    """Store events while what tells of them is killed, until all are told; gives how many.

    Each lives for up to `longest` seconds: most are killed amid a message.
    """
    state.write_text('{"position": {"event": 0, "timestamp": null}}')
    names = (database.path, state, secret, sendmail, RESTARTS, longest)
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.so1.notify.killed", *map(str, names)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )

    def told() -> int:
        position: int = json.loads(state.read_text())["position"]["event"]
        return position

    dice = random.Random(RESTARTS)
    stored = 0
    try:
        while not Path(f"{state}.killed").exists():
            assert program.poll() is None
            # More than a hundred that wait would only be counted.
            if stored - told() < WAITING:
                now = round(time.time() * 1000)
                one = Event(timestamp=now, kind="remove", outcome="done", detail="Gone: $(reboot)")
                events = [one] * dice.randint(1, 3)
                database.add_events(events)
                stored += len(events)
            time.sleep(0.01)
        until = time.monotonic() + 60
        while told() < stored:
            assert time.monotonic() < until, f"{told()} of {stored} events are told"
            time.sleep(0.05)
    finally:
        program.communicate(b"")
    assert program.returncode == 0
    return stored


def test_a_webhook_is_told_of_each_event_once(
    receiver: Receiver, database: Database, tmp_path: Path
) -> None:
    # Now and then the receiver says that it failed, though it has the message.
    receiver.answer = lambda number: 500 if number % 7 == 0 else 200

    stored = tell_and_kill(database, tmp_path / "webhook.json", receiver.secret(tmp_path), "", 0.03)
    told = receiver.once()
    ids = [item["id"] for message in told for item in message["items"]]
    assert sum(message["omitted"] for message in told) == 0
    assert ids == list(range(1, stored + 1)), "none is lost, none is doubled, all are in order"
    # A receiver that does not look at ids sees some again, but never out of order.
    seen = [request.told["items"][0]["id"] for request in receiver.requests]
    assert seen == sorted(seen)
    _log.info(
        "%d kills, %d events, %d messages, %d requests", RESTARTS, stored, len(told), len(seen)
    )


def test_mail_tells_of_each_event_once(
    sendmail: Sendmail, database: Database, tmp_path: Path
) -> None:
    stored = tell_and_kill(database, tmp_path / "mail.json", "", sendmail.program, 0.15)
    letters: dict[str, str] = {}
    for arguments, letter in sendmail.letters:
        assert arguments == ["-i", "--", "root"]
        read = email.message_from_string(letter, policy=email.policy.default)
        assert letters.setdefault(read["Message-ID"], letter) == letter
    assert sum(letter.count(" remove done: ") for letter in letters.values()) == stored
    assert not any("more events" in letter for letter in letters.values())
    _log.info("%d kills, %d events, %d letters", RESTARTS, stored, len(letters))


@pytest.mark.usefixtures("database")
def test_the_command_goes_on_where_it_was(
    receiver: Receiver, store: Path, tmp_path: Path, happen: Happen
) -> None:
    secret = receiver.secret(tmp_path)
    configuration = tmp_path / "config.toml"
    configuration.write_text(
        f'[store]\npath = "{store}"\n[notify]\nbatch_seconds = 0\n'
        f'[notify.webhook]\nenabled = true\nsecret = "{secret}"\n'
    )
    command = [sys.executable, "-c", "from so1.cli import main; main()"]
    command += ["--config", str(configuration), "notify", "run", "webhook"]
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path)}
    state = tmp_path / "webhook.json"
    for number in range(3):
        program = subprocess.Popen(command, env=environment)
        try:
            wait_until(state.exists, program, 30)
            wait_until(lambda: len(receiver.once()) >= number, program, 30)  # noqa: B023 - now
        finally:
            program.kill()
            program.wait()
        happen(at=round(time.time() * 1000))
    told = [[item["id"] for item in message["items"]] for message in receiver.once()]
    assert told == [[1], [2]]
