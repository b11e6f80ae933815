# SPDX-License-Identifier: MIT
"""Ask Grafana on this host whether it answers and can read the database.

usage: health.py URL DATASOURCE_UID PASSWORD_FILE SECONDS

Waits SECONDS for Grafana, and as long for its datasource, whose plugin it may have to fetch first. Where that fails, says
why and ends with 1. Where Grafana does not take the password any more, says so: somebody changed it, and may.
"""

from __future__ import annotations

import base64
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PAUSE_S = 2
ANSWER_S = 30
UNAUTHORIZED = 401


def ask(url: str, password: str) -> tuple[int, str]:
    """Give the status of an answer and the message in it; 0 where nothing answers."""
    token = base64.b64encode(f"admin:{password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=ANSWER_S
        ) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        text = error.read(4096).decode(errors="replace")
        try:
            return error.code, str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            return error.code, error.reason
    except OSError as error:
        return 0, str(error)


def wait(url: str, password: str, seconds: float) -> tuple[int, str]:
    """Ask until the answer is well, or says that the password is not."""
    deadline = time.monotonic() + seconds
    while True:
        status, message = ask(url, password)
        if status in (200, UNAUTHORIZED) or time.monotonic() > deadline:
            return status, message
        time.sleep(PAUSE_S)


def main() -> int:
    """Say what is wrong, if anything is."""
    url, datasource, password_file, seconds = sys.argv[1:]
    password = Path(password_file).read_text(encoding="utf-8").strip()
    status, message = wait(f"{url}/api/health", password, float(seconds))
    if status != 200:
        print(
            f"Grafana does not answer at {url} ({message or status}); `docker logs grafana_so1` says why."
        )
        return 1
    path = f"{url}/api/datasources/uid/{datasource}/health"
    status, message = wait(path, password, float(seconds))
    if status == UNAUTHORIZED:
        print(
            f"Grafana does not take the password in {password_file}, so it was not asked whether it can read the "
            "database. That is fine where you changed the password in Grafana."
        )
    elif status != 200:
        print(
            f"Grafana runs, and its dashboards stay empty: it cannot read the database ({message or status}). Most "
            "often it could not fetch its plugin (`docker logs grafana_so1`); give the plugin's zip with "
            "so1_grafana_plugin_archive."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
