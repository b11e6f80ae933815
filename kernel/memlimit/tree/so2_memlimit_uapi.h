/* SPDX-License-Identifier: GPL-2.0 */
/* Where the kernel tree has what the module has under this name. */
#include <uapi/linux/so2_memlimit.h>
