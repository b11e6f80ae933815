# SPDX-License-Identifier: MIT
"""so2_memory_limit where there is no limiter, and what of it needs none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import so2_memory_limit
import yaml
from so2_memory_limit import LimiterError

from tests.modules.ansible_commands import (
    LOCAL,
    ansible,
    documentation,
    documented_options,
    foreign_imports,
    run_module,
    taken_options,
)

KTHREADD = 2
without_limiter = pytest.mark.skipif(
    so2_memory_limit.LIST.exists(), reason="no kernel without the limiter: this one has it"
)


def run(**options: Any) -> dict[str, Any]:
    """Run the module, which must fail; return the JSON it prints."""
    result = run_module("so2_memory_limit", options)
    assert result["failed"]
    return result


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("4096", 4096),
        ("512M", 512 << 20),
        ("512m", 512 << 20),
        ("512MB", 512 << 20),
        ("2 G", 2 << 30),
        ("1.5G", 3 << 29),
        ("1T", 1 << 40),
        ("9007199254740993", 2**53 + 1),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_limits_are_bytes_or_powers_of_1024(text: str, size: int) -> None:
    assert so2_memory_limit.parse_limit(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.5", "-1", "M", "lots", "12Q", "1e9", "²", str(2**64), "16777216T", "9" * 5000],
)
def test_what_is_no_limit_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="The option limit must be bytes, or a size") as caught:
        so2_memory_limit.parse_limit(text)
    assert str(caught.value).endswith(f"it is {text}.")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.EPERM, "Only root may set limits; use become."),
        (errno.EINVAL, "Process 7 cannot be limited: it is a thread of the kernel."),
        (errno.ESRCH, "There is no process 7."),
        (errno.ENOMEM, "The list is full; raise the parameter max_entries of so2_memlimit."),
        (101, "Process 7 has been limited by somebody else meanwhile."),
        (102, "Process 7 has been freed by somebody else meanwhile."),
        (errno.EFAULT, "The limiter failed: Bad address."),
    ],
)
def test_every_error_of_the_kernel_has_its_sentence(code: int, sentence: str) -> None:
    error = LimiterError(code, 7)
    assert (str(error), error.code) == (sentence, code)


def test_a_process_of_ones_own_can_be_limited_and_others_cannot() -> None:
    so2_memory_limit.foresee(os.getpid())
    with pytest.raises(LimiterError, match="There is no process"):
        so2_memory_limit.foresee(1 << 30)


@pytest.mark.skipif(
    not Path(f"/proc/{KTHREADD}/comm").exists()
    or Path(f"/proc/{KTHREADD}/comm").read_text() != "kthreadd\n",
    reason="no kthreadd in /proc: this is a container with process ids of its own",
)
def test_a_thread_of_the_kernel_cannot_be_limited() -> None:
    with pytest.raises(LimiterError, match="it is a thread of the kernel"):
        so2_memory_limit.foresee(KTHREADD)


class Kernel:
    """A list of limits, at the edge where the module asks the kernel."""

    def __init__(self, limits: dict[int, int]) -> None:
        self.listed = limits
        self.asked: list[str] = []

    def limits(self) -> dict[int, int]:
        return dict(self.listed)

    def change(self, operation: str, pid: int, limit: int) -> None:
        self.asked.append(operation)
        if operation == "remove":
            del self.listed[pid]
        else:
            assert (pid in self.listed) == (operation == "update")
            self.listed[pid] = limit


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    ("before", "wanted", "asked"),
    [
        (None, 5, ["add"]),
        (4, 5, ["update"]),
        (5, 5, []),
        (5, None, ["remove"]),
        (None, None, []),
    ],
)
def test_only_what_differs_is_changed(
    monkeypatch: pytest.MonkeyPatch,
    before: int | None,
    wanted: int | None,
    asked: list[str],
    *,
    dry: bool,
) -> None:
    kernel = Kernel({1: 9} if before is None else {1: 9, 7: before})
    monkeypatch.setattr(so2_memory_limit, "limits", kernel.limits)
    monkeypatch.setattr(so2_memory_limit, "change", kernel.change)
    had, changed = so2_memory_limit.apply(7, wanted, dry=dry)
    assert (had, changed) == (before, bool(asked))
    assert kernel.asked == ([] if dry else asked)
    assert kernel.listed.get(7) == (before if dry else wanted)
    assert kernel.listed[1] == 9


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "missing required arguments: pid"),
        ({"pid": 7}, "state is present but all of the following are missing: limit"),
        ({"pid": "init", "limit": "1G"}, "'pid'"),
        ({"pid": 0, "limit": "1G"}, "pid must be the number of a process"),
        ({"pid": -7, "state": "absent"}, "pid must be the number of a process"),
        ({"pid": 7, "limit": "1G", "state": "gone"}, "state must be one of"),
        ({"pid": 7, "limit": "1G", "name": "web"}, "Unsupported parameters"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], why: str) -> None:
    assert why in run(**options)["msg"]


@without_limiter
@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("options", [{"limit": "1G"}, {"state": "absent"}])
def test_without_a_limiter_it_says_what_to_load(options: dict[str, str], *, check: bool) -> None:
    assert run(pid=os.getpid(), _ansible_check_mode=check, **options)["msg"] == (
        "This kernel has no memory limiter; load so2_memlimit"
        " (ansible-playbook site.yml --tags kernel)."
    )


@without_limiter
def test_ad_hoc(tmp_path: Path) -> None:
    arguments = "pid=1 limit=1G"
    done = ansible(
        tmp_path, "ansible", "localhost", *LOCAL, "-m", "so2_memory_limit", "-a", arguments
    )
    assert done.returncode == 2
    assert "This kernel has no memory limiter" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give the documentation as ansible-doc understands it."""
    return documentation(tmp_path_factory.mktemp("doc"), "so2_memory_limit")


def test_ansible_doc_renders(tmp_path: Path) -> None:
    done = ansible(tmp_path, "ansible-doc", "-t", "module", "so2_memory_limit")
    assert (done.returncode, done.stderr) == (0, "")
    for heading in ("OPTIONS", "ATTRIBUTES:", "NOTES:", "EXAMPLES:", "RETURN VALUES:"):
        assert heading in done.stdout
    for mode in ("check_mode:", "diff_mode:"):
        assert mode in done.stdout


def test_the_options_are_the_documented_ones(
    documented: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = taken_options(so2_memory_limit, monkeypatch)
    assert taken["supports_check_mode"] is True
    assert documented["doc"]["attributes"]["check_mode"]["support"] == "full"
    assert documented["doc"]["attributes"]["diff_mode"]["support"] == "full"
    assert documented_options(documented) == taken["argument_spec"]


def test_the_examples_give_what_the_options_ask_for(documented: dict[str, Any]) -> None:
    for task in yaml.safe_load(so2_memory_limit.EXAMPLES):
        options = task["so2_memory_limit"]
        assert set(options) <= set(documented["doc"]["options"])
        if options.get("state", "present") == "present":
            assert so2_memory_limit.parse_limit(str(options["limit"]))


def test_every_returned_key_is_documented_with_a_sample(documented: dict[str, Any]) -> None:
    assert {name: value["sample"] for name, value in documented["return"].items()} == {
        "pid": 4242,
        "limit": 512 << 20,
    }


def test_the_module_runs_on_old_hosts_that_have_nothing_installed() -> None:
    assert foreign_imports("so2_memory_limit") == {
        "ansible.module_utils.basic",
        "ansible.module_utils.common.text.formatters",
    }
