/* SPDX-License-Identifier: GPL-2.0 */
/* The same as PACKAGE_VERSION in dkms.conf. */
#define SO2_MEMLIMIT_VERSION "0.1.0"
