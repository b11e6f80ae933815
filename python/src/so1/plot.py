# SPDX-License-Identifier: MIT
"""The plots of a report, through matplotlib; only the web page loads this."""

import base64
import io
import os
import tempfile

import pandas as pd

# matplotlib writes a cache of fonts where it is told to: nothing of it stays in a home directory.
_CACHE = tempfile.TemporaryDirectory(prefix="so1-report-")
os.environ["MPLCONFIGDIR"] = _CACHE.name

import matplotlib as mpl  # noqa: E402 - it reads the variable when it is imported
from matplotlib.figure import Figure  # noqa: E402

_POINTS = 600
"""How many points a line of a plot has at most; more could not be told apart."""
_LINES = {
    "ram": "RAM used, MiB",
    "cpu": "CPU, %",
    "containers": "Containers",
    "processes": "Processes",
}


def plot(ticks: pd.DataFrame) -> str:
    """Draw RAM (MiB), CPU (percent), containers and processes over time, as a data: URL."""
    # Every n-th tick is enough for the eye.
    shown = ticks.iloc[:: max(1, len(ticks) // _POINTS)]
    moments = pd.to_datetime(shown["timestamp"], unit="ms", utc=True)
    figure = Figure(figsize=(10, 8), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True)
    for axis, (column, title) in zip(axes, _LINES.items(), strict=True):
        axis.plot(moments, shown[column].astype(float), linewidth=1, color="#2f6fb5")
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    image = io.BytesIO()
    # Fixed salt and no date: the same data give the same page.
    with mpl.rc_context({"svg.hashsalt": "so1"}):
        figure.savefig(image, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(image.getvalue()).decode()
