# SPDX-License-Identifier: MIT
"""The ways by which somebody can be told."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from so1.config import Notify
from so1.notify import mail, webhook
from so1.notify.message import Message

Way = Literal["webhook", "mail"]
WAYS: tuple[Way, ...] = ("webhook", "mail")


def sender(policy: Notify, way: Way) -> Callable[[Message], None] | None:
    """Give what sends a message, None where this way is not enabled.

    What it gives raises NotSentError.
    """
    if way == "mail":
        by_mail = policy.mail
        return (
            (lambda message: mail.send(by_mail.sendmail, by_mail.to, message))
            if by_mail.enabled
            else None
        )
    hook = policy.webhook
    # The secret is read each time: who mends it need not restart anything.
    return (
        (lambda message: webhook.post(webhook.target(Path(hook.secret)), message, hook.format))
        if hook.enabled
        else None
    )
