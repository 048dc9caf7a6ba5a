/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/interrupt.h"

#include <signal.h>
#include <stddef.h>

static struct stop *token;

static void on_signal(int sig)
{
	stop_set(token, sig);
}

const struct stop *interrupt_token(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal };

	if (token)
		return token;
	token = stop_new();
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	/* A reader that goes away is a write error, not a death. */
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	return token;
}
