# SPDX-License-Identifier: MIT
"""A package system of the tests' own: real apt and dpkg, whose files are all in one folder."""

import hashlib
import os
import subprocess
from pathlib import Path

PARTS = (
    *("root/state/lists/partial", "root/cache/archives/partial", "root/log", "root/fs"),
    *("root/etc/preferences.d", "root/etc/apt.conf.d", "root/etc/sources.list.d"),
    *("root/etc/trusted.gpg.d", "root/dpkg/info", "root/dpkg/updates", "root/dpkg/triggers"),
)
CONFIGURATION = """
Dir "{root}/";
Dir::State "state";
Dir::State::status "{root}/dpkg/status";
Dir::Cache "cache";
Dir::Etc "etc";
Dir::Log "log";
Dir::Bin::dpkg "/usr/bin/dpkg";
DPkg::Options {{
    "--root={root}/fs"; "--admindir={root}/dpkg"; "--log=/dev/null"; "--force-not-root";
}};
APT::Architecture "amd64";
APT::Sandbox::User "";
"""


class Packages:
    """What a host has installed, and the one source that it knows."""

    def __init__(self, folder: Path) -> None:
        """Make a host with nothing installed, and an empty source."""
        for part in PARTS:
            (folder / part).mkdir(parents=True)
        root = folder / "root"
        self.admin = root / "dpkg"
        (self.admin / "status").touch()
        (self.admin / "available").touch()
        self.lists = root / "state/lists"
        self.sources = root / "etc/sources.list"
        self.repository = folder / "repository"
        self.repository.mkdir()
        (self.repository / "Packages").touch()
        configuration = folder / "apt.conf"
        configuration.write_text(CONFIGURATION.format(root=root))
        self.environment = {
            **os.environ,
            "APT_CONFIG": str(configuration),
            "DPKG_ADMINDIR": str(self.admin),
        }
        self.source()

    def source(self, *others: str) -> None:
        """Know the one source, and others."""
        own = f"deb [trusted=yes] file:{self.repository} ./"
        self.sources.write_text("\n".join([own, *others]) + "\n")

    def offer(self, name: str, **fields: str) -> None:
        """Put a package into the source."""
        tree = self.repository / name
        (tree / "DEBIAN").mkdir(parents=True)
        head = {
            "Package": name,
            "Version": "1",
            "Architecture": "all",
            "Maintainer": "Nobody <nobody@example.org>",
            "Description": "empty",
            **fields,
        }
        control = "".join(f"{key}: {value}\n" for key, value in head.items())
        (tree / "DEBIAN/control").write_text(control)
        file = self.repository / f"{name}.deb"
        subprocess.run(["dpkg-deb", "-b", tree, file], check=True, stdout=subprocess.DEVNULL)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        with (self.repository / "Packages").open("a") as index:
            index.write(f"{control}Filename: ./{file.name}\n")
            index.write(f"Size: {file.stat().st_size}\nSHA256: {digest}\n\n")

    def run(self, *command: str) -> str:
        """Run a command in this package system; raises subprocess errors."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def update(self) -> None:
        """Fetch the lists."""
        self.run("apt-get", "update")

    def install(self, *names: str) -> None:
        """Install packages as an administrator would."""
        self.run("apt-get", "--yes", "install", *names)

    def installed(self) -> list[str]:
        """Give what is installed."""
        return self.run("dpkg-query", "--show", "--showformat", "${Package}\n").split()
