# SPDX-License-Identifier: MIT
import bcrypt
import pytest

from so1.config import ConfigError, parse

HASH = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()


def test_off_and_on_loopback_unless_asked() -> None:
    metrics = parse("").metrics
    assert (metrics.enabled, metrics.address, metrics.users) == (False, "127.0.0.1", {})


@pytest.mark.parametrize("prefix", ["$2b$", "$2y$", "$2a$"])
def test_hashes_as_htpasswd_and_ansible_make_them(prefix: str) -> None:
    hash_ = prefix + HASH[4:]
    users = parse(f'[metrics.users]\nprometheus = "{hash_}"').metrics.users
    assert bcrypt.checkpw(b"x", users["prometheus"].encode())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = 0", "metrics.port"),
        ("max_series = 10", "metrics.max_series"),
        ('tls_certificate = "/x"', "must be given both or neither"),
        ('tls_key = "/x"', "must be given both or neither"),
        ('users = {prometheus = "secret"}', "metrics.users"),
        (f'users = {{"a:b" = "{HASH}"}}', "metrics.users"),
        ("listen = 1", "listen"),
        ('address = ""', "metrics.address"),
        ('address = "a\\u0000"', "metrics.address"),
        ('tls_certificate = "/a\\u0000"', "metrics.tls_certificate"),
        ('tls_key = "/a\\u0000"', "metrics.tls_key"),
        (f'users = {{a = "{HASH[:4]}17{HASH[6:]}"}}', "metrics.users"),
        (f'users = {{a = "{HASH[:4]}03{HASH[6:]}"}}', "metrics.users"),
    ],
)
def test_the_wrong_key_is_named(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse(f"[metrics]\n{text}")
