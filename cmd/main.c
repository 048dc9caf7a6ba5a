/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/version.h"

#include <stdio.h>

/* Prints the version; the table of commands takes over once base/ links. */
int main(void)
{
	return puts(walback_version()) < 0;
}
