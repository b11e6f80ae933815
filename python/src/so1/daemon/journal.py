# SPDX-License-Identifier: MIT
"""Log lines for the journal, each with its level."""

import logging
import os
import sys
from collections.abc import Mapping

_PRIORITY = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _Prefixed(logging.Formatter):
    """Puts sd-daemon's <N> before every line, as journald reads the level of each by itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def configure(level: str, environment: Mapping[str, str] = os.environ) -> None:
    """Log to standard error, from `level` (debug, info, warning, error) up."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in environment:
        handler.setFormatter(_Prefixed("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What urllib3 has to say at debug and info is not about this host.
    for chatty in ("urllib3", "docker"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
