# SPDX-License-Identifier: MIT
"""What `so1 …` can do."""
