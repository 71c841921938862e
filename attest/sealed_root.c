#include "attest/sealed_root.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/simulated.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/sock.h"
#include "crypto/secret.h"

enum { REQUEST_MAX = 256 };

typedef err root_fn(const struct sealed_source *s, bytes key_id,
                    uint8_t root[static SEALED_ROOT_LEN]);

/* --- the firmware ---------------------------------------------------------------------------- */

static err from_firmware(const struct sealed_source *s, bytes key_id,
                         uint8_t root[static SEALED_ROOT_LEN])
{
    const struct snp_key_ask ask = { .fields = SNP_KEY_WITH_POLICY | SNP_KEY_WITH_IMAGE_ID |
                                               SNP_KEY_WITH_FAMILY_ID | SNP_KEY_WITH_MEASUREMENT,
                                     .vmpl = s->vmpl };
    (void)key_id;
    return snp_guest_derive_key(&s->snp, &ask, root);
}

_Static_assert((int)SNP_GUEST_KEY_LEN == (int)SEALED_ROOT_LEN, "one is the other");

/* --- a file ---------------------------------------------------------------------------------- */

static err read_key(int fd, uint8_t root[static SEALED_ROOT_LEN])
{
    struct stat st;
    ENSURE(fstat(fd, &st) == 0, SYSTEM);
    ENSURE(S_ISREG(st.st_mode) && st.st_size == SEALED_ROOT_LEN, MALFORMED);
    ENSURE(st.st_uid == geteuid() && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0, DENIED);
    ENSURE(read(fd, root, SEALED_ROOT_LEN) == SEALED_ROOT_LEN, SYSTEM);
    return OK;
}

static err from_file(const struct sealed_source *s, bytes key_id,
                     uint8_t root[static SEALED_ROOT_LEN])
{
    (void)key_id;
    ENSURE(simulated_verifier != NULL, UNSUPPORTED);
    int fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ENSURE(fd >= 0 || (errno != EACCES && errno != ELOOP), DENIED);
    ENSURE(fd >= 0, NOT_FOUND);
    err e = read_key(fd, root);
    (void)close(fd);
    return e;
}

/* --- a service ------------------------------------------------------------------------------- */

struct talk {
    int fd;
    uint64_t until_ms;
};

/* Until the socket is ready for that, or the time is over. */
static err await(const struct talk *t, short events)
{
    struct pollfd p = { .fd = t->fd, .events = events };
    for (;;) {
        uint64_t now = clock_steady_ms();
        ENSURE(now < t->until_ms, TIMEOUT);
        int n = poll(&p, 1, (int)(t->until_ms - now));
        if (n > 0)
            return OK;
        ENSURE(n == 0 || errno == EINTR, SYSTEM);
    }
}

static err send_all(const struct talk *t, bytes out)
{
    while (out.len > 0) {
        size_t n = 0;
        TRY(await(t, POLLOUT));
        ENSURE(sock_send(t->fd, out, &n) != SOCK_BROKEN, UNAVAILABLE);
        out = bytes_slice(out, n, out.len);
    }
    return OK;
}

/* Up to len bytes and the end; *got says how many came. */
static err receive_all(const struct talk *t, uint8_t *to, size_t len, size_t *got)
{
    enum sock_step step = SOCK_WAIT;
    for (*got = 0; *got < len && step != SOCK_ENDED;) {
        size_t n = 0;
        TRY(await(t, POLLIN));
        step = sock_receive(t->fd, to + *got, len - *got, &n);
        ENSURE(step != SOCK_BROKEN, UNAVAILABLE);
        *got += step == SOCK_MOVED ? n : 0;
    }
    return OK;
}

/* One byte more than there may be, so that a longer answer is seen. */
static err converse(const struct talk *t, bytes request, uint8_t root[static SEALED_ROOT_LEN])
{
    SECRET_BYTES(answer, SEALED_ROOT_LEN + 1);
    size_t got = 0;
    TRY(await(t, POLLOUT));
    TRY(sock_connected(t->fd));
    TRY(send_all(t, request));
    TRY(receive_all(t, answer, sizeof answer, &got));
    ENSURE(got == SEALED_ROOT_LEN, MALFORMED);
    memcpy(root, answer, SEALED_ROOT_LEN);
    return OK;
}

static err from_service(const struct sealed_source *s, bytes key_id,
                        uint8_t root[static SEALED_ROOT_LEN])
{
    BUF_AUTO request = BUF(REQUEST_MAX);
    struct sock_addr to = { .kind = SOCK_KIND_UNIX };
    struct talk t = { .fd = -1,
                      .until_ms = clock_steady_ms() +
                                  (s->service_ms > 0 ? s->service_ms : SEALED_SERVICE_MS) };
    size_t len = strlen(s->service);
    ENSURE(len > 0 && len <= SOCK_PATH_MAX, CONFIG);
    memcpy(to.path, s->service, len);
    TRY(buf_addf(&request, "sealgate-key 1 %s %.*s\n", s->platform, (int)key_id.len,
                 (const char *)key_id.at));
    ENSURE(sock_connect(&to, NULL, &t.fd).code == ERR_OK, UNAVAILABLE);
    err e = converse(&t, buf_view(&request), root);
    sock_close(&t.fd);
    return e;
}

/* --- which ----------------------------------------------------------------------------------- */

/* What each platform has by itself; a service does instead of everything but the simulated file. */
static const struct {
    const char *platform;
    root_fn *own; /* NULL: a service only */
    bool by_file;
} platforms[] = {
    { "sev-snp", from_firmware, false },
    { "azure-sev-snp", NULL, false },
    { "gcp-confidential-space", NULL, false },
    { "tdx", NULL, false },
    { "nitro", NULL, false },
    { SIMULATED_PLATFORM, from_file, true },
};

static err choose(const struct sealed_source *s, root_fn **out)
{
    size_t i = 0;
    ENSURE(s->platform != NULL, UNSUPPORTED);
    while (strcmp(platforms[i].platform, s->platform) != 0)
        ENSURE(++i < ARRAY_LEN(platforms), UNSUPPORTED);
    ENSURE(platforms[i].by_file == (s->file != NULL), CONFIG);
    ENSURE(!platforms[i].by_file || s->service == NULL, CONFIG);
    *out = s->service != NULL ? from_service : platforms[i].own;
    ENSURE(*out != NULL, CONFIG);
    return OK;
}

err sealed_key_open(struct sealed_key **out, const struct sealed_source *source, bytes key_id)
{
    root_fn *fetch = NULL;
    void *root = NULL;
    ENSURE(sealed_key_id_good(key_id), MALFORMED);
    TRY(choose(source, &fetch));
    TRY(secret_new(&root, SEALED_ROOT_LEN));
    err e = fetch(source, key_id, root);
    if (err_is_ok(e))
        e = sealed_key_new(out, bytes_str(source->platform), key_id,
                           bytes_of(root, SEALED_ROOT_LEN));
    secret_free(root);
    return e;
}

const char *sealed_key_fault(err e)
{
    static const struct {
        enum err_code code;
        const char *sentence;
    } faults[] = {
        { ERR_CONFIG,
          "the simulated platform needs a key file and no key service; any other one a "
          "key service and no key file, and sev-snp neither" },
        { ERR_UNSUPPORTED, "this program cannot seal for that platform" },
        { ERR_MALFORMED,
          "no key: its id has to be a plain name of up to 64 characters, and the key "
          "32 bytes, not all zero" },
        { ERR_DENIED,
          "the key is refused: a key file must be yours alone (mode 0600), and the VMPL "
          "not above this kernel's own" },
        { ERR_NOT_FOUND, "there is no key file" },
        { ERR_UNAVAILABLE, "the key service, or the device, does not answer" },
        { ERR_TIMEOUT, "the key service takes too long" },
    };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (faults[i].code == e.code)
            return faults[i].sentence;
    }
    return "the key cannot be had: memory or the system failed";
}
