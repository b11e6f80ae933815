# SPDX-License-Identifier: MIT
"""What a variable may hold: a value that cannot work is refused before anything changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.plays import play, refusals, told

HERE = str(Path(__file__))
SUFFIX = "may hold letters, digits, - and _, at most 32; it is «{}»."
HOST = "must begin with unix:// or tcp://; it is "
GROUP = (
    "must be a group's name: small letters, digits, - and _, at most 32, a letter or _ first; "
    "it is «{}»."
)
KEPT = "+ so1_daemon_governor_keep_high ({} + 2) must not exceed so1_daemon_governor_maximum (10)."
SIZE = (
    "must be a size like 512m or 2g, with b, k, m, g, t or p, and at least 6m; it is «{}».",
    ["", "0", "-1", "512", "5m", "512mb", "1 g", "much", "512m\n"],
)
ARCHIVE = (
    "must name a file on the controller where so1_grafana_image_source is archive; it is «{}»."
)
IN_A_FIELD = "must have {} or *, or lists, ranges and steps of them, as its {}; it is «{{}}»."
Sentences = dict[str, list[tuple[str, list[Any]]]]

REFUSED: dict[str, Sentences] = {
    "kernel_modules": {
        "kernel_modules_suffix": [(SUFFIX, ["", "a/b", "a b", "ñ", "x" * 33, "x\n"])],
        "kernel_modules_group": [(GROUP, ["", "1st", "So1", "a b", "-a", "a:b", "g" * 33, "a\n"])],
        "kernel_modules_memlimit_max_entries": [
            ("must be from 1 to 32768; it is {}.", [0, -1, 32_769]),
        ],
    },
    "so1_daemon": {
        "so1_daemon_interval": [("must be from 1 to 3600; it is {}.", [0, 3_601])],
        "so1_daemon_governor_keep_low": [
            ("must be from 0 to 10000; it is {}.", [-1, 10_001]),
            (KEPT, [9]),
        ],
        "so1_daemon_suffix": [(SUFFIX, ["", "a/b", "a b", "ñ", "x" * 33, "x\n"])],
        "so1_daemon_notify_per_hour": [("must be from 1 to 3600; it is {}.", [0, 3_601])],
        "so1_daemon_notify_events": [
            ("must have entries such as remove/done or */failed.", [["remove"], ["a/b\n"], ["*"]]),
        ],
        "so1_daemon_notify_mail_to": [
            ("must have addresses", [[], ["-oQ/tmp"], ["a,b@c"], ["a@b\n"], ["|/bin/sh"], [""]]),
        ],
        "so1_daemon_notify_webhook_url": [
            ("must begin with https:// or http://", ["", "ftp://a", "https://a b", "https://a\n"]),
        ],
        "so1_daemon_docker_host": [(HOST + "{}.", ["", "unix://", "/run/x", "http://a"])],
    },
    "workload": {
        "workload_schedule": [
            (
                "must be the five fields of a cron expression; it is «{}».",
                ["", "@reboot", "@hourly", "* * * *", "* * * * * *", "*  * * * *", " * * * * *"],
            ),
            (
                IN_A_FIELD.format("0-59", "minute"),
                [f"{minute} * * * *" for minute in ("60", "99", "-5", "5,", ",5", "1-", "5/10")]
                + [f"{minute} * * * *" for minute in ("*/0", "*/", "1-60", "1-2-3", "a", "+5")],
            ),
            (IN_A_FIELD.format("0-23", "hour"), ["0 24 * * *", "0 1,99 * * *", "0 mon * * *"]),
            (IN_A_FIELD.format("1-31", "day"), ["0 0 0 * *", "0 0 32 * *", "0 0 L * *"]),
            (
                IN_A_FIELD.format("1-12, jan-dec", "month"),
                ["0 0 1 0 *", "0 0 1 13 *", "0 0 1 mon *", "0 0 1 january *"],
            ),
            (
                IN_A_FIELD.format("0-7, sun-sat", "weekday"),
                ["0 0 * * 8", "0 0 * * jan", "0 0 * * 1-8", "0 0 * * mon/2", "0 0 * * *\n"],
            ),
        ],
    },
    "so1_grafana": {
        "so1_grafana_port": [("must be from 1 to 65535; it is {}.", [0, -1, 65_536])],
        "so1_grafana_image_timeout": [("must be from 1 to 3600; it is {}.", [0, -1, 3_601])],
        "so1_grafana_policy_maximum": [("must be from 0 to 10000; it is {}.", [-1, 10_001])],
        "so1_grafana_policy_keep_low": [("must be from 0 to 10000; it is {}.", [-1])],
        "so1_grafana_policy_keep_high": [("must be from 0 to 10000; it is {}.", [-1])],
        "so1_grafana_memory": [SIZE],
        "so1_grafana_docker_host": [(HOST + "«{}».", ["", "unix://", "/run/x", "http://a"])],
        "so1_grafana_image_source": [
            ("must be one of: pull, archive, got: {}", ["", "push", "Pull"]),
        ],
        "so1_grafana_image_archive": [
            (ARCHIVE, ["", "nowhere.tar", "/nowhere.tar", "/etc"]),
        ],
        "so1_grafana_plugin_archive": [
            (
                "must name a file on the controller or be empty; it is «{}».",
                ["nowhere.zip", "/nowhere.zip", "/etc"],
            ),
        ],
    },
}
TAKEN: dict[str, dict[str, list[Any]]] = {
    "kernel_modules": {
        "kernel_modules_suffix": ["202300539", "x" * 32, "a_B-1"],
        "kernel_modules_group": ["so1", "_a-b_9", "g" * 31, "machine$"],
        "kernel_modules_memlimit_max_entries": [1, 32_768, "7"],
    },
    "so1_daemon": {
        "so1_daemon_suffix": ["202300539", "x" * 32, "a_B-1"],
        "so1_daemon_notify_events": [["remove/done", "*/*"], []],
        "so1_daemon_notify_mail_to": [["root", "ops+so1@mail.example.org"]],
        "so1_daemon_notify_webhook_url": ["https://example.org/a?b=c", "http://127.0.0.1:8080"],
        "so1_daemon_docker_host": ["unix:///run/x", "tcp://127.0.0.1:2375"],
    },
    "workload": {
        "workload_schedule": [
            *("* * * * *", "*/7 * * * *", "0-59/5,7 0,23 1-31 1-12 0-7", "05 04 01 02 07"),
            *("0 0 * jan,Feb mon-FRI", "59 23 31 dec sun", "*/99 */2 */10 */3 1-5/2"),
        ],
    },
    "so1_grafana": {
        "so1_grafana_port": [1, 65_535, "3000"],
        "so1_grafana_image_timeout": [1, 3_600],
        "so1_grafana_policy_maximum": [0, 10_000],
        "so1_grafana_memory": ["6m", "512m", "512MB", "1.5g", "2G", "536870912b", 536_870_912],
        "so1_grafana_docker_host": ["unix:///run/x", "tcp://127.0.0.1:2375"],
        "so1_grafana_image_source": ["pull", "archive"],
        "so1_grafana_image_archive": [HERE, "beside.tar"],
        "so1_grafana_plugin_archive": ["", HERE, "beside.tar"],
    },
}
# What else a value needs in order to matter, or to be right.
BESIDE: dict[str, dict[str, Any]] = {
    "so1_daemon_notify_webhook_url": {"so1_daemon_notify_webhook_enabled": True},
    "so1_grafana_image_source": {"so1_grafana_image_archive": HERE},
    "so1_grafana_image_archive": {"so1_grafana_image_source": "archive"},
}


def refused(variables: Sentences) -> Iterator[tuple[dict[str, Any], str]]:
    for name, sentences in variables.items():
        for sentence, values in sentences:
            for value in values:
                shown = " ".join(sentence.format(value).split())
                yield {name: value, **BESIDE.get(name, {})}, f"{name} {shown}"


def test_a_value_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    done = play(tmp_path, refusals("so1_daemon", [{"so1_daemon_interval": "often"}, {}]), {})
    told(done, ["argument 'so1_daemon_interval' is of type str and we were unable to convert"])


@pytest.mark.parametrize("role", REFUSED)
def test_each_wrong_value_is_refused_in_one_sentence(role: str, tmp_path: Path) -> None:
    (tmp_path / "beside.tar").touch()  # a relative name is one beside the playbook
    wrong = list(refused(REFUSED[role]))
    right = [
        {name: value, **BESIDE.get(name, {})}
        for name, values in TAKEN[role].items()
        for value in values
    ]
    cases = [*(variables for variables, _ in wrong), *right, {}]
    told(play(tmp_path, refusals(role, cases), {}), [sentence for _, sentence in wrong])
