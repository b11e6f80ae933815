# SPDX-License-Identifier: MIT
"""The dashboards as they are drawn; `grafana/draw/setup.sh` installs what that needs."""
