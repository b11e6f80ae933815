# SPDX-License-Identifier: MIT
"""The Ansible modules in `library/`."""
