#include "base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

err notify_send(const char *address, const char *state)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = strlen(address);
    ENSURE((address[0] == '/' || address[0] == '@') && len < sizeof to.sun_path, MALFORMED);
    memcpy(to.sun_path, address, len);
    if (address[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ENSURE(fd >= 0, SYSTEM);
    ssize_t n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
    ENSURE(n == (ssize_t)strlen(state), SYSTEM);
    return OK;
}

void notify_manager(const char *state)
{
    const char *address = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe) */
    if (address != NULL)
        (void)notify_send(address, state);
}
