# SPDX-License-Identifier: MIT
"""A host with a kernel that this machine has headers of.

DKMS is real, and modules are built for real; /sys/module is a folder."""

import os
from pathlib import Path

from tests.support.host import REPOSITORY, Host

BINARIES = Path(os.environ.get("SO1_CACHE", REPOSITORY / ".cache")) / "binaries"
SETUP = """
set -e
for folder in /usr/src /usr/sbin /usr/lib; do
    upper=$1/upper$folder work=$1/work$folder
    mkdir -p "$upper" "$work"
    mount -t overlay overlay -o "lowerdir=$folder,upperdir=$upper,workdir=$work" "$folder"
done
mkdir -p /var/lib/dkms
mount -t tmpfs tmpfs /var/lib/dkms
mount -t tmpfs tmpfs /sys/module
mkdir "$1/modules"
cp -a "/usr/lib/modules/$3" "$1/modules"
mount --bind "$1/modules" /usr/lib/modules
cp "$2/usr/sbin/dkms" /usr/sbin/dkms
cp -r "$2/usr/lib/dkms" /usr/lib
cp -r "$2/etc/dkms" "$2/etc/kernel" /etc
mkdir -p /etc/modprobe.d
"""
# What Linux does where the tests have no kernel to do it.
FAKES = {
    "uname": """
case $* in -r) echo {kernel} ;; *) exec /usr/bin/uname "$@" ;; esac
""",
    "modprobe": """
file=/usr/lib/modules/{kernel}/updates/dkms/$1.ko
[ -e "$file" ] && [ ! -e "{folder}/refuse-$(modinfo -F srcversion "$1")" ] || exit 1
mkdir -p /sys/module/$1/parameters
echo live >/sys/module/$1/initstate
modinfo -F srcversion "$1" >/sys/module/$1/srcversion
for setting in $(sed -n "s/^options $1 //p" /etc/modprobe.d/so1.conf); do
    file=/sys/module/$1/parameters/${{setting%%=*}}
    echo "${{setting#*=}}" >"$file"
    chmod 444 "$file"
done
chmod -f 644 /sys/module/$1/parameters/max_entries || true
""",
    "rmmod": """
[ ! -e {folder}/busy ] || {{ echo "rmmod: ERROR: Module $1 is in use" >&2; exit 1; }}
rm -r "/sys/module/$1"
""",
    "modinfo": """
exec /sbin/modinfo -k {kernel} "$@"
""",
}


class KernelHost(Host):
    """DKMS works, modules are built for real, and loading one writes files."""

    def __init__(self, folder: Path, kernel: str) -> None:
        """Make it, with nothing of ours."""
        super().__init__(folder)
        self.kernel = kernel
        try:
            layers = folder / "layers"
            layers.mkdir()
            self.inside("mount", "-t", "tmpfs", "tmpfs", str(layers))
            self.inside("sh", "-c", SETUP, "sh", str(layers), str(BINARIES), kernel)
            self.fakes = folder / "fakes"
            self.fakes.mkdir()
            for name, text in FAKES.items():
                path = self.fakes / name
                path.write_text("#!/bin/sh" + text.format(kernel=kernel, folder=folder))
                path.chmod(0o755)
        except BaseException:
            self.stop()
            raise

    def enter(self, *command: str) -> list[str]:
        """Give what runs a command there, with its kernel's name."""
        path = f"PATH={self.fakes}:{os.environ['PATH']}" if hasattr(self, "fakes") else "A=b"
        return super().enter("env", path, *command)
