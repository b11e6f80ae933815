# SPDX-License-Identifier: MIT
"""Renders each sample once; a scrape gets what was rendered, however often it comes."""

import gzip
from collections.abc import Iterable

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from so1.config import Metrics
from so1.exposition.error import ServerError
from so1.exposition.families import Families
from so1.exposition.own import Own
from so1.exposition.server import Page, Server, check
from so1.sample import Sample


class _Collected(Collector):
    """Families that are there already, as the library wants them handed over."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def render(families: Iterable[Metric]) -> Page:
    """Write families in the text format."""
    # Its argument is declared as a registry in some versions of the library, as a collector in
    # others; `collect` is all that it calls.
    text = generate_latest(_Collected(families))  # type: ignore[arg-type,unused-ignore]
    return Page(text, gzip.compress(text, compresslevel=5, mtime=0))


class Publisher:
    """Keeps the counters over reloads, and the server in step with the configuration."""

    def __init__(self) -> None:
        """Begin without a server."""
        self._families = Families()
        self._page: Page | None = None
        self._server: Server | None = None

    def configure(self, settings: Metrics) -> None:
        """Serve as `settings` say, and read certificates again.

        Raises ServerError where that cannot be; what was served before goes on then.
        """
        before = self._server
        if not settings.enabled:
            self.close()
        elif before is None:
            self._server = self._serve(settings)
        elif (settings.address, settings.port) == (before.settings.address, before.settings.port):
            before.take(settings)
        else:
            check(settings)
            self.close()  # of two addresses with one port, one may include the other
            try:
                self._server = self._serve(settings)
            except ServerError:
                self._server = self._serve(before.settings)
                raise

    def _serve(self, settings: Metrics) -> Server:
        return Server(settings, lambda: self._page)

    def publish(self, sample: Sample, own: Own) -> None:
        """Make this sample what is served."""
        if self._server:
            self._page = render(self._families.collect(sample, own))

    def close(self) -> None:
        """Stop serving."""
        if self._server:
            self._server.stop()
            self._server = None
