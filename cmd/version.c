/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/version.h"

const char *walback_version(void)
{
	return WALBACK_VERSION;
}
