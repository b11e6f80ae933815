// SPDX-License-Identifier: MIT
/* crowd N: N idle children, "ready" once all are there; they end with it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int left = argc == 2 ? atoi(argv[1]) : 0;

	if (left < 1) {
		fprintf(stderr, "usage: crowd NUMBER\n");
		return 2;
	}
	signal(SIGCHLD, SIG_IGN);
	while (left--) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("crowd: fork");
			return 1;
		}
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
