/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmds.h"

int main(int argc, char **argv)
{
	return cmds_main(argc, argv);
}
