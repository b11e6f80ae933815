# SPDX-License-Identifier: MIT
"""What a receiver reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so1.config import Format
from so1.escape_controls import escape_controls
from so1.notify.formats import body
from so1.notify.message import Item, Message, make, text

HOSTILE = "<!channel> <https://evil|x> &amp; @here @all `code` ![x](http://evil) *b*"


def message(*names: str, omitted: int = 0) -> Message:
    items = [
        Item(id=id_, timestamp=id_ * 1000, kind="remove", outcome="done", container_name=name)
        for id_, name in enumerate(names, 1)
    ]
    return make("web-1", 100.0, items, omitted, len(items))


def test_people_read_a_line_for_each_event() -> None:
    assert text(message("web", "db", omitted=3), 1000) == (
        "SO1 on web-1\n"
        "3 more events, see so1 events\n"
        "1970-01-01 00:00:01 UTC remove done: web\n"
        "1970-01-01 00:00:02 UTC remove done: db\n"
    )


def test_programs_get_each_event() -> None:
    content, media = body(message("web", omitted=3), "json")
    told = json.loads(content)
    assert media == "application/json"
    assert told["text"] == text(message("web", omitted=3), 3800)
    assert (told["host"], told["omitted"], len(told["id"])) == ("web-1", 3, 32)
    assert told["items"] == [
        {
            "id": 1,
            "timestamp": 1000,
            "kind": "remove",
            "outcome": "done",
            "container_name": "web",
            "image": None,
            "class": None,
            "rule": None,
            "detail": None,
        }
    ]


def test_a_chat_calls_nobody_and_shows_no_link() -> None:
    content, _ = body(message(HOSTILE), "slack")
    told = json.loads(content)
    assert set(told) == {"text"}
    assert told["text"].startswith("```\nSO1 on web-1\n")
    assert told["text"].endswith("\n```")
    inside = told["text"][3:-3]
    assert "`" not in inside
    assert "<" not in inside
    assert "@here" not in inside
    assert "@all" not in inside
    assert "&lt;!channel&gt;" in inside
    assert "&amp;amp;" in inside


def test_ntfy_gets_plain_text() -> None:
    content, media = body(message("web"), "ntfy")
    assert media.startswith("text/plain")
    assert content.decode() == text(message("web"), 3800)


@given(st.lists(st.text(max_size=400).map(escape_controls), max_size=20), st.integers(0, 10**9))
def test_whatever_the_names_it_stays_below_what_ntfy_takes(names: list[str], omitted: int) -> None:
    sent = message(*names, omitted=omitted)
    content, _ = body(sent, "ntfy")
    assert len(content) < 4_096
    assert len(content.decode().splitlines()) == 1 + bool(omitted) + len(names)
    assert json.loads(body(sent, "json")[0])["id"] == sent.id
    assert json.loads(body(sent, "slack")[0])["text"].count("`") == 6


@pytest.mark.parametrize("wanted", ["json", "slack", "ntfy"])
def test_the_same_message_is_the_same_bytes(wanted: Format) -> None:
    assert body(message("web", "db"), wanted) == body(message("web", "db"), wanted)


def test_a_host_may_be_called_anything() -> None:
    sent = make("we\udcff\nb", 100.0, [], 1, 7)
    assert sent.host == "we\\udcff\\x0ab"
    assert len(body(sent, "ntfy")[0].splitlines()) == 2
    assert json.loads(body(sent, "json")[0])["host"] == sent.host


def test_the_id_is_of_what_is_told() -> None:
    ids = [
        made.id
        for made in (
            message("web"),
            message("web", "db"),
            message("web", omitted=1),
            make("web-2", 100.0, message("web").items, 0, 1),
            make("web-1", 100.0, [], 1, 1),
            make("web-1", 100.0, [], 1, 2),
        )
    ]
    assert len(set(ids)) == len(ids)
    assert message("web").id == make("web-1", 999.0, message("web").items, 0, 1).id
