# SPDX-License-Identifier: MIT
"""What a webhook gets: a message as the receiver wants it."""

import msgspec

from so1.config import Format
from so1.notify.message import Message, text

_TEXT_BYTES = 3_800
"""ntfy makes an attachment of 4,096 and more; a chat cuts what is much longer."""
_AFTER_AT = "\u200b"
"""A space without width: a chat then sees no name to call."""


def body(message: Message, wanted: Format) -> tuple[bytes, str]:
    """Give the body and its media type."""
    plain = text(message, _TEXT_BYTES)
    if wanted == "ntfy":
        return plain.encode(), "text/plain; charset=utf-8"
    if wanted == "slack":
        return msgspec.json.encode({"text": _of_chat(plain)}), "application/json"
    whole = {**msgspec.to_builtins(message), "text": plain}
    return msgspec.json.encode(whole), "application/json"


def _of_chat(plain: str) -> str:
    """Write it so that nothing in it is a link, a picture, a style or somebody to be called."""
    quoted = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"```\n{quoted.replace('`', chr(39)).replace('@', '@' + _AFTER_AT)}```"
