# SPDX-License-Identifier: MIT
"""What goes wrong with serving."""


class ServerError(Exception):
    """The metrics cannot be served; the message is one sentence with the way out."""
