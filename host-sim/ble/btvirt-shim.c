/* Preloaded into BlueZ's btvirt: its sockets go into a folder of our own, and it starts on kernels without AF_ALG.
 *
 * btvirt -s listens on fixed names in /tmp; runs beside each other would take them from each other. And bt_crypto_new
 * only wants its sockets to exist: AES serves pairing and resolvable addresses, which plain GATT does without. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef AF_ALG
#define AF_ALG 38
#endif

/* Whoever started it may be killed: the emulator does not outlive it. But it outlives a host stack that leaves while
 * an event is written to it. */
__attribute__((constructor)) static void live_as_long_as_parent(void) {
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
}

static const char fixed_prefix[] = "/tmp/bt-server-";

/* The name in our folder, where the path is one of btvirt's. */
static const char *moved(const char *path, char *out, size_t size) {
	const char *folder = getenv("PICOBOLT_BTVIRT_FOLDER");
	int length;
	if (!folder || !path || strncmp(path, fixed_prefix, sizeof(fixed_prefix) - 1) != 0) return path;
	length = snprintf(out, size, "%s/%s", folder, path + sizeof("/tmp/") - 1);
	return length > 0 && (size_t)length < size ? out : path;
}

int socket(int domain, int type, int protocol) {
	static int (*next)(int, int, int);
	if (!next) next = dlsym(RTLD_NEXT, "socket");
	if (domain == AF_ALG) return open("/dev/null", O_RDWR | O_CLOEXEC);
	return next(domain, type, protocol);
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
	static int (*next)(int, const struct sockaddr *, socklen_t);
	if (!next) next = dlsym(RTLD_NEXT, "bind");
	if (address && address->sa_family == AF_ALG) return 0;
	if (address && address->sa_family == AF_UNIX) {
		const struct sockaddr_un *wanted = (const struct sockaddr_un *)address;
		struct sockaddr_un ours;
		char path[sizeof(ours.sun_path)];
		const char *name = moved(wanted->sun_path, path, sizeof(path));
		if (name != wanted->sun_path) {
			memset(&ours, 0, sizeof(ours));
			ours.sun_family = AF_UNIX;
			strcpy(ours.sun_path, name);
			return next(fd, (const struct sockaddr *)&ours, sizeof(ours));
		}
	}
	return next(fd, address, length);
}

/* Its own queue holds one: a second stack that starts in the same moment would be turned away. */
int listen(int fd, int backlog) {
	static int (*next)(int, int);
	if (!next) next = dlsym(RTLD_NEXT, "listen");
	return next(fd, backlog < 1024 ? 1024 : backlog);
}

int unlink(const char *path) {
	static int (*next)(const char *);
	char ours[sizeof(((struct sockaddr_un *)0)->sun_path)];
	if (!next) next = dlsym(RTLD_NEXT, "unlink");
	return next(moved(path, ours, sizeof(ours)));
}
