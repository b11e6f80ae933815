# SPDX-License-Identifier: MIT
"""What goes wrong with telling somebody."""


class NotSentError(Exception):
    """A message was not taken, as far as is known.

    The text is one sentence. It never has the webhook's URL, which is a secret.
    """
