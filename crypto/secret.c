#include "crypto/secret.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

bool secret_equal(bytes a, bytes b)
{
    if (a.len != b.len)
        return false;
    return a.len == 0 || sodium_memcmp(a.at, b.at, a.len) == 0;
}

void secret_wipe(void *at, size_t len)
{
    if (len > 0)
        explicit_bzero(at, len);
}

/* sodium_malloc() fills with a pattern; here nothing is ever handed out that is not zero. */
err secret_new(void **out, size_t size)
{
    ENSURE(sodium_init() >= 0, INTERNAL);
    void *at = sodium_malloc(size);
    ENSURE(at != NULL, NOMEM);
    memset(at, 0, size);
    *out = at;
    return OK;
}

void secret_free(void *at)
{
    sodium_free(at);
}

/* Not sodium's generator: it ends the process where an error can be returned. */
err crypto_random(void *out, size_t len)
{
    uint8_t *to = out;
    for (size_t done = 0; done < len;) {
        ssize_t n = getrandom(to + done, len - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            secret_wipe(out, len);
            FAIL(SYSTEM);
        }
        done += (size_t)n;
    }
    return OK;
}
