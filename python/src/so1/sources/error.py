# SPDX-License-Identifier: MIT
"""Why there is no snapshot."""


class SourceError(Exception):
    """No snapshot could be taken; the message says what to do."""
