# SPDX-License-Identifier: MIT
"""The screen of `so1 top`, on the standard library's curses: a host installs nothing for it.

severity  which figures are yellow, which red
groups    a sample as containers with their processes: sorted, filtered
table     rows and columns that fit a width
view      what the reader chose, what a key does, and the whole screen as lines
source    takes samples in a thread, so that a slow Docker Engine holds up no key
screen    the terminal: paints lines, reads keys

Only `screen` knows curses.
"""
