# SPDX-License-Identifier: MIT
"""The scripts of kernel_modules with real DKMS: new beside old, and nobody's upgrade fails.

The tests follow one host through its life and build on each other, in the order of the file.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import REPOSITORY
from tests.support.kernel_host import KernelHost

pytestmark = pytest.mark.root  # only root can make a host of its own
FILES = REPOSITORY / "roles/kernel_modules/files"
KERNEL = min(
    path.parent.parent.name
    for path in Path("/lib/modules").glob("6.1.*-cloud-amd64/build/Makefile")
)
PACKAGE = "so2-memlimit"
MODULE = "so2_memlimit"
OTHER = "6.1.0-0-other"
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelHost]:
    made = KernelHost(tmp_path_factory.mktemp("host"), KERNEL)
    made.inside(
        "sh", "-c", "echo 'options so2_memlimit max_entries=5 gid=7' >/etc/modprobe.d/so1.conf"
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the sources, for tests to change."""
    copy = tmp_path_factory.mktemp("sources")
    folder = REPOSITORY / "kernel/memlimit"
    (copy / "memlimit").mkdir()
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy(file, copy / "memlimit")
    return copy


def sources(tree: Path, what: str) -> str:
    return subprocess.run(
        [FILES / "sources.sh", tree, what, f"{PACKAGE}=memlimit"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def wanted(tree: Path) -> str:
    return f"{PACKAGE}/{json.loads(sources(tree, 'versions'))[PACKAGE]}"


def run(host: KernelHost, *command: str, stdin: str = "") -> Done:
    return subprocess.run(
        host.enter(*command), input=stdin, capture_output=True, text=True, check=False, timeout=600
    )


def build(host: KernelHost, tree: Path) -> Done:
    script = (FILES / "build.sh").read_text()
    return run(host, "bash", "-c", script, "build.sh", wanted(tree), stdin=sources(tree, "archive"))


def look(host: KernelHost, tree: Path) -> list[str]:
    return run(host, "sh", str(FILES / "look.sh"), "root", wanted(tree)).stdout.splitlines()


def load(host: KernelHost, tree: Path, *options: str) -> Done:
    return run(host, "sh", str(FILES / "load.sh"), *options, f"{wanted(tree)}={MODULE}")


def built(host: KernelHost) -> list[str]:
    said = run(host, "sh", "-c", "readlink /var/lib/dkms/*/kernel-*").stdout
    return sorted(line.split("/")[0] for line in said.splitlines())


def srcversion(host: KernelHost) -> str:
    return host.inside("cat", f"/sys/module/{MODULE}/srcversion").stdout.strip()


def change(tree: Path, text: str) -> None:
    with (tree / "memlimit/so2_core.c").open("a") as file:
        file.write(text)


def test_a_bare_host_lacks_it(host: KernelHost, tree: Path) -> None:
    assert f"missing {PACKAGE}" in look(host, tree)
    assert "changed" in load(host, tree, "--check").stdout


def test_it_is_built_and_loaded(host: KernelHost, tree: Path) -> None:
    done = build(host, tree)
    assert done.returncode == 0, done.stderr
    assert not [line for line in look(host, tree) if "missing" in line]
    assert "group 0" in look(host, tree)
    done = load(host, tree)
    assert "changed" in done.stdout, done.stderr
    assert load(host, tree).stdout == ""


def test_a_version_that_does_not_compile_changes_nothing(host: KernelHost, tree: Path) -> None:
    before, loaded = built(host), srcversion(host)
    whole = (tree / "memlimit/so2_core.c").read_text()
    change(tree, "\n#error not this one\n")
    done = build(host, tree)
    assert done.returncode != 0
    assert "what was there before is still there" in done.stderr
    assert "#error not this one" in done.stderr
    assert (built(host), srcversion(host)) == (before, loaded)
    assert host.inside("modinfo", "-F", "srcversion", MODULE).stdout.strip() == loaded
    (tree / "memlimit/so2_core.c").write_text(whole)


def test_a_version_that_does_not_load_is_taken_back(host: KernelHost, tree: Path) -> None:
    before, loaded = built(host), srcversion(host)
    whole = (tree / "memlimit/so2_core.c").read_text()
    change(tree, "\nint so2_unused_a(void);\nint so2_unused_a(void) { return 1; }\n")
    assert build(host, tree).returncode == 0
    new = host.inside("modinfo", "-F", "srcversion", MODULE).stdout.strip()
    assert new != loaded
    (host.folder / f"refuse-{new}").touch()
    done = load(host, tree)
    assert done.returncode != 0
    assert "the one before was" in done.stderr
    assert (built(host), srcversion(host)) == (before, loaded)
    (tree / "memlimit/so2_core.c").write_text(whole)


def test_a_module_that_is_in_use_stays(host: KernelHost, tree: Path) -> None:
    before, loaded = built(host), srcversion(host)
    whole = (tree / "memlimit/so2_core.c").read_text()
    change(tree, "\nint so2_unused_c(void);\nint so2_unused_c(void) { return 3; }\n")
    assert build(host, tree).returncode == 0
    (host.folder / "busy").touch()
    done = load(host, tree)
    assert done.returncode != 0
    assert f"the module {MODULE} is in use" in done.stderr
    assert srcversion(host) == loaded
    left = host.inside("ls", "/usr/src").stdout
    assert f"{PACKAGE}-{before[0]}" in left, "what is loaded is gone"
    (host.folder / "busy").unlink()
    assert load(host, tree).returncode == 0
    assert srcversion(host) != loaded
    (tree / "memlimit/so2_core.c").write_text(whole)


def test_an_upgrade_leaves_nothing_of_the_version_before(host: KernelHost, tree: Path) -> None:
    before = built(host)
    change(tree, "\nint so2_unused_b(void);\nint so2_unused_b(void) { return 2; }\n")
    assert build(host, tree).returncode == 0
    assert f"{PACKAGE}-{before[0]}" in host.inside("ls", "/usr/src").stdout, "gone too early"
    done = load(host, tree)
    assert f"{PACKAGE}/{before[0]} is gone" in done.stdout, done.stderr
    version = wanted(tree).split("/")[1]
    assert set(built(host)) == {version}
    left = host.inside("sh", "-c", f"ls -d /usr/src/{PACKAGE}-* /var/lib/dkms/{PACKAGE}/[0-9]*")
    assert left.stdout.split() == [
        f"/usr/src/{PACKAGE}-{version}",
        f"/var/lib/dkms/{PACKAGE}/{version}",
    ]
    assert load(host, tree).stdout == ""


def test_a_module_of_that_name_that_is_not_ours_stays(host: KernelHost, tree: Path) -> None:
    saved = host.folder / "gid"
    host.inside("mv", f"/sys/module/{MODULE}/parameters/gid", str(saved))
    host.inside("sh", "-c", f"echo other >/sys/module/{MODULE}/srcversion")
    done = load(host, tree)
    assert "is not SO1's, and is left alone" in done.stderr
    assert srcversion(host) == "other"
    host.inside("mv", str(saved), f"/sys/module/{MODULE}/parameters/gid")
    assert "changed" in load(host, tree).stdout


@pytest.fixture
def other_kernel(host: KernelHost) -> Iterator[str]:
    """Make a kernel that is installed, and on which nothing can be built."""
    host.inside(
        "sh",
        "-c",
        f"mkdir -p /lib/modules/{OTHER}/build/include; "
        f"printf 'modules:\\n\\tfalse\\n' >/lib/modules/{OTHER}/build/Makefile",
    )
    yield OTHER
    host.inside("rm", "-r", f"/lib/modules/{OTHER}")


def hook(host: KernelHost, name: str, kernel: str) -> Done:
    return run(host, f"/etc/kernel/postinst.d/{name}", kernel)


def test_a_kernel_without_modules_is_installed_all_the_same(
    host: KernelHost, other_kernel: str
) -> None:
    for name in ("dkms", "so1-modules"):
        done = hook(host, name, other_kernel)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot be built for" in hook(host, "so1-modules", other_kernel).stdout


def test_with_dkms_own_hook_it_would_not_be(
    host: KernelHost, tree: Path, other_kernel: str
) -> None:
    """So that the test before can fail."""
    file = f"/usr/src/{wanted(tree).replace('/', '-')}/dkms.conf"
    host.inside("sh", "-c", f"echo 'AUTOINSTALL=\"yes\"' >>{file}")
    done = hook(host, "dkms", other_kernel)
    host.inside("sed", "-i", "/^AUTOINSTALL/d", file)
    assert done.returncode != 0, done.stdout


def test_removal_needs_no_sources(host: KernelHost) -> None:
    host.inside("sh", "-c", f"rm -rf /usr/src/{PACKAGE}-*; mkdir -p /usr/src/somebody-1")
    script = str(FILES / "remove.sh")
    assert "changed" in run(host, "sh", script, "--check", f"{PACKAGE}={MODULE}").stdout
    assert built(host), "a dry run removed something"
    done = run(host, "sh", script, f"{PACKAGE}={MODULE}")
    assert done.returncode == 0, done.stderr
    left = run(
        host,
        "sh",
        "-c",
        "ls -d /var/lib/dkms/so* /usr/src/so2* /sys/module/so2* /etc/kernel/*/so1* "
        "/lib/modules/*/updates 2>/dev/null",
    )
    assert left.stdout == ""
    assert host.inside("ls", "-d", "/usr/src/somebody-1").returncode == 0
    assert run(host, "sh", script, f"{PACKAGE}={MODULE}").stdout == ""


def test_every_package_has_a_version_of_its_sources(tree: Path) -> None:
    first = wanted(tree)
    assert re.fullmatch(rf"{PACKAGE}/[0-9.]+[.][0-9a-f]{{12}}", first)
    change(tree, "\n")
    assert wanted(tree) != first
