# SPDX-License-Identifier: MIT
"""The roles and playbooks, as far as they need no virtual machine."""
