# SPDX-License-Identifier: MIT
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        number = asked.getsockname()[1]
        assert isinstance(number, int)
        return number


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Make a certificate for 127.0.0.1 with the subject given, and its key."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(subject: str) -> tuple[Path, Path]:
        certificate, key = folder / f"{subject}.pem", folder / f"{subject}.key"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-days", "1", "-subj", f"/CN={subject}"),
                *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        return certificate, key

    return make
