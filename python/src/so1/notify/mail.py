# SPDX-License-Identifier: MIT
"""A message by mail, through the host's sendmail."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate

from so1.notify.error import NotSentError
from so1.notify.message import Message, text

SECONDS = 60.0
"""For sendmail to take it."""
_TEXT_BYTES = 32_768
_HOST = re.compile(r"[A-Za-z0-9.-]{1,64}")


def send(sendmail: str, to: Sequence[str], message: Message, seconds: float = SECONDS) -> None:
    """Hand it to sendmail, which is called without a shell.

    Raises NotSentError where that did not say within `seconds` that it has taken it.
    """
    command = [sendmail, "-i", "--", *to]
    # In a file: through a pipe, half a letter would be sent where this process is killed.
    with os.fdopen(os.memfd_create("letter"), "w+b") as letter:
        letter.write(_letter(to, message))
        letter.seek(0)
        try:
            program = subprocess.Popen(  # noqa: S603 - addresses are checked with the configuration
                command,
                stdin=letter,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise NotSentError(f"{sendmail} cannot be run: {error.strerror}") from error
    try:
        program.wait(seconds)
    except subprocess.TimeoutExpired:
        # With all that it has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        raise NotSentError(f"{sendmail} did not end within {seconds:.0f} s") from None
    if program.returncode:
        raise NotSentError(f"{sendmail} ended with {program.returncode}")


def _letter(to: Sequence[str], message: Message) -> bytes:
    """Write it; no header has anything of an event in it."""
    letter = EmailMessage()
    on = f" on {message.host}" if _HOST.fullmatch(message.host) else ""
    letter["Subject"] = f"SO1: events{on}"
    letter["To"] = ", ".join(to)
    letter["Date"] = formatdate(message.made)
    letter["Message-ID"] = f"<{message.id}@so1.invalid>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text(message, _TEXT_BYTES), cte="quoted-printable")
    return bytes(letter)
