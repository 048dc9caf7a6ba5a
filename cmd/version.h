/* SPDX-License-Identifier: Apache-2.0 */
/* The version this program was built as: the git tag, or the VERSION file. */
#ifndef CMD_VERSION_H
#define CMD_VERSION_H

const char *walback_version(void); /* "0.1.0" or "0.1.0-3-gabcdef-dirty" */

#endif
