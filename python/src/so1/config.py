# SPDX-License-Identifier: MIT
"""The configuration file, /etc/so1/config.toml: its keys, their types, ranges and defaults."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DEFAULT_PATH = Path("/etc/so1/config.toml")

Count = Annotated[int, Meta(ge=0, le=10_000)]
# A NUL cannot be in any path, but in a string of the file it can.
FilePath = Annotated[str, Meta(pattern=r"^[^\x00]*$")]


Format = Literal["json", "slack", "ntfy"]
Chosen = Annotated[str, Meta(pattern=r"\A([a-z]+|\*)/([a-z]+|\*)\Z")]
Address = Annotated[
    str,
    # No option of sendmail, no header, no second address.
    Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9._%+=-]{0,63}(@[A-Za-z0-9][A-Za-z0-9.-]{0,252})?\Z"),
]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file and the key."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: an unknown key in it is an error, not something to guess about."""


class Snapshot(Section, frozen=True):
    """Where snapshots come from."""

    source: Literal["auto", "module", "procfs"] = "auto"
    suffix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "202300539"


class Policy(Section, frozen=True):
    """How many managed containers may run.

    above `maximum`, down to `keep_low` + `keep_high` at once; a container younger than
    `grace` seconds is spared except then. `stop_timeout` is what a container gets to stop.

    What is removed is kept in the wastebasket for `trash_hours`, 0 for not at all; less long where
    that holds more than `trash_gib` or the disk of Docker's data is fuller than
    `trash_disk_percent`. What somebody took back is left alone for `undo_spare_hours`. Hours are
    those in which the daemon ran.
    """

    mode: Literal["enforce", "observe"] = "enforce"
    maximum: Count = 10
    keep_low: Count = 3
    keep_high: Count = 2
    grace: Annotated[float, Meta(ge=0, le=86_400)] = 30
    stop_timeout: Annotated[int, Meta(ge=0, le=300)] = 5
    trash_hours: Annotated[float, Meta(ge=0, le=87_600)] = 24
    trash_gib: Annotated[float, Meta(gt=0, le=1_048_576)] = 10
    trash_disk_percent: Annotated[float, Meta(gt=0, le=100)] = 90
    undo_spare_hours: Annotated[float, Meta(ge=0, le=87_600)] = 24


class Docker(Section, frozen=True):
    """How the Docker Engine is reached; `timeout` in seconds holds for every call.

    So it must be well below the time after which systemd takes a silent daemon for dead; and
    ssh:// is no `host`, since the SDK waits without a limit there.
    """

    host: Annotated[str, Meta(pattern=r"^(unix|tcp)://[^\x00]+$")] = "unix:///var/run/docker.sock"
    timeout: Annotated[float, Meta(gt=0, le=60)] = 5


class Store(Section, frozen=True):
    """History: where, for how long, how large.

    `retention_days` is how long ticks stay, `events_days` events, both in days that the daemon ran.
    `max_mib` is for the whole database; a tenth of it is for events, whatever ticks need.
    `top_processes` keeps the N largest by RAM and the N busiest of each tick and sums the others
    into one row; 0 keeps every process.
    """

    path: Annotated[str, Meta(pattern=r"^[^\x00]*[^/\x00]$")] = "/var/lib/so1/metrics.db"
    retention_days: Annotated[float, Meta(gt=0, le=3_650)] = 7
    events_days: Annotated[float, Meta(gt=0, le=3_650)] = 90
    max_mib: Annotated[int, Meta(ge=8, le=1_048_576)] = 1_024
    top_processes: Count = 50


class Metrics(Section, frozen=True):
    """Prometheus' exposition, at `/metrics` of `address` and `port`.

    `tls_certificate` and `tls_key` are PEM files; `users` maps names to bcrypt hashes of their
    passwords, of a cost up to 16, and where it is empty everybody may read. `top_processes` is how
    many process names are listed by RSS and how many by CPU; what goes beyond `max_series` is
    folded.
    """

    enabled: bool = False
    address: Annotated[str, Meta(pattern=r"^[^\x00]+$")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 10_201
    tls_certificate: FilePath = ""
    tls_key: FilePath = ""
    users: dict[
        Annotated[str, Meta(pattern=r"^[^:]+$")],
        Annotated[str, Meta(pattern=r"^\$2[abxy]\$(?:0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}$")],
    ] = {}
    top_processes: Annotated[int, Meta(ge=1, le=1_000)] = 20
    max_series: Annotated[int, Meta(ge=200, le=100_000)] = 400


class Workload(Section, frozen=True):
    """The images and commands of the test load."""

    low_image: Annotated[str, Meta(min_length=1)] = "alpine"
    low_command: list[str] = msgspec.field(default_factory=lambda: ["sleep", "600"])
    high_image: Annotated[str, Meta(min_length=1)] = "polinux/stress"
    high_commands: Annotated[list[list[str]], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [
            ["stress", "--cpu", "1", "--timeout", "600"],
            ["stress", "--vm", "1", "--vm-bytes", "64M", "--vm-hang", "0", "--timeout", "600"],
        ]
    )


class Webhook(Section, frozen=True):
    """Messages by HTTP POST.

    `secret` is a file: line 1 is the URL, line 2, if there is one, a bearer token.
    """

    enabled: bool = False
    format: Format = "json"
    secret: FilePath = "/etc/so1/notify-webhook"  # noqa: S105 - where it is


class Mail(Section, frozen=True):
    """Messages by the program `sendmail`, to people in `to`."""

    enabled: bool = False
    to: Annotated[list[Address], Meta(min_length=1, max_length=100)] = msgspec.field(
        default_factory=lambda: ["root"]
    )
    sendmail: Annotated[str, Meta(pattern=r"\A/[^\x00]+\Z")] = "/usr/sbin/sendmail"


class Notify(Section, frozen=True):
    """Which events somebody is told of, and how often.

    `events` has patterns of kind and outcome; a `*` stands for any. Events are collected for
    `batch_seconds`, and at most `per_hour` messages are sent. What is older than `oldest_hours` is
    only counted.
    """

    events: list[Chosen] = msgspec.field(
        default_factory=lambda: ["*/done", "*/refused", "*/failed"]
    )
    batch_seconds: Annotated[float, Meta(ge=0, le=3_600)] = 30
    per_hour: Annotated[int, Meta(ge=1, le=3_600)] = 20
    oldest_hours: Annotated[float, Meta(gt=0, le=87_600)] = 24
    webhook: Webhook = Webhook()
    mail: Mail = Mail()


class Config(Section, frozen=True):
    """The whole file; every key has a default, so an empty file is a valid one."""

    interval: Annotated[float, Meta(ge=1, le=3_600)] = 20
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    snapshot: Snapshot = Snapshot()
    governor: Policy = Policy()
    docker: Docker = Docker()
    store: Store = Store()
    metrics: Metrics = Metrics()
    notify: Notify = Notify()
    workload: Workload = Workload()


def check(policy: Policy, origin: str) -> None:
    """Raise ConfigError where a policy keeps more than its maximum."""
    if policy.keep_low + policy.keep_high > policy.maximum:
        raise ConfigError(
            f"{origin}: governor.keep_low + governor.keep_high"
            f" ({policy.keep_low} + {policy.keep_high})"
            f" must not exceed governor.maximum ({policy.maximum})"
        )


def parse(text: str, origin: str = "configuration") -> Config:
    """Read a configuration from TOML text.

    Raises ConfigError, with the offending key in its message.
    """
    try:
        config = msgspec.convert(tomllib.loads(text), Config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from error
    check(config.governor, origin)
    metrics = config.metrics
    if bool(metrics.tls_certificate) != bool(metrics.tls_key):
        raise ConfigError(
            f"{origin}: metrics.tls_certificate and metrics.tls_key must be given both or neither"
        )
    return config


def load(path: Path) -> Config:
    """Read the configuration file.

    Raises ConfigError where it cannot be read or is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; run the playbook, or name another") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return parse(text, str(path))
