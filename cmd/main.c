/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmds.h"

#include <fcntl.h>
#include <unistd.h>

/*
 * A caller may have closed 0, 1 or 2: then a database or a record would be opened
 * as one of them, and messages written into it.  They are opened the wrong way
 * round, so that reading and writing them stays the error it is.
 */
static int keep_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	return keep_standard_descriptors() < 0 ? 1 : cmds_main(argc, argv);
}
