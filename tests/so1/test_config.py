# SPDX-License-Identifier: MIT
import pytest

from so1.config import ConfigError, parse


@pytest.mark.parametrize("host", ["unix:///run/docker.sock", "tcp://192.0.2.1:2375"])
def test_where_the_engine_may_be(host: str) -> None:
    assert parse(f'[docker]\nhost = "{host}"\ntimeout = 60').docker.host == host


@pytest.mark.parametrize("path", ["", "/", "/var/lib/so1/", "/a\\u0000b"])
def test_a_store_that_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"\$\.store\.path"):
        parse(f'[store]\npath = "{path}"')


def test_an_engine_behind_a_nul_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\$\.docker\.host"):
        parse('[docker]\nhost = "unix:///run/\\u0000"')


@pytest.mark.parametrize(
    ("text", "named"),
    [
        # No silence may be as long as systemd's watchdog is patient.
        ("timeout = 60.5", r"<= 60.* `\$\.docker\.timeout`"),
        ('host = "ssh://192.0.2.1"', r"\(unix\|tcp\)://.* `\$\.docker\.host`"),
    ],
)
def test_a_wait_without_an_end_is_refused(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse(f"[docker]\n{text}")
