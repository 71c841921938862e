/*
 * One ioctl carries every request: a header with two addresses, and in it two error codes that come
 * back, the firmware's and the host's. A host that wants more room for certificates says so by error 1
 * and writes the length it needs into the request.
 */
#include "attest/snp_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sev-guest.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "crypto/secret.h"

enum {
    MESSAGE_VERSION = 1,
    REPORT_AT = 32,
    KEY_AT = 32,
    PAGE = 4096,
    STATUS_DENIED = 0x16, /* invalid parameter */
    STATUS_KEY_DENIED = 0x27
};

_Static_assert(sizeof(struct snp_guest_request_ioctl) == 32, "as the kernel has it");
_Static_assert(sizeof(struct snp_report_req) == 96, "as the firmware has it");
_Static_assert(sizeof(struct snp_ext_report_req) == 112, "as the kernel has it");
_Static_assert(sizeof(struct snp_report_resp) >= REPORT_AT + SNP_REPORT_LEN, "a report fits");

static int system_ioctl(int fd, unsigned long code, void *argument)
{
    return ioctl(fd, code, argument);
}

static void system_wait(unsigned ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&left, NULL);
}

static const char *path_of(const struct snp_guest *g)
{
    return g->path != NULL ? g->path : SNP_GUEST_DEVICE;
}

bool snp_guest_present(const struct snp_guest *g)
{
    return access(path_of(g), R_OK | W_OK) == 0;
}

/* --- one request ----------------------------------------------------------------------------- */

struct call {
    const struct snp_guest *guest;
    int fd;
    unsigned long code;
    void *request;
    void *response;
    uint32_t vmm_error; /* what came back */
    uint32_t fw_error;
};

static uint64_t address_of(const void *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* 0 or an errno. */
static int call_once(struct call *c)
{
    int (*control)(int, unsigned long, void *) =
        c->guest->control != NULL ? c->guest->control : system_ioctl;
    struct snp_guest_request_ioctl message = { .msg_version = MESSAGE_VERSION,
                                               .req_data = address_of(c->request),
                                               .resp_data = address_of(c->response) };
    int e = control(c->fd, c->code, &message) == 0 ? 0 : errno;
    c->vmm_error = message.vmm_error;
    c->fw_error = message.fw_error;
    return e;
}

static bool is_busy(const struct call *c, int e)
{
    return e != 0 && (c->vmm_error == SNP_GUEST_VMM_ERR_BUSY || e == EAGAIN || e == EBUSY ||
                      e == EINTR || e == ETIMEDOUT);
}

/* The same again while the host is busy; *e is what it came to. */
static err call(struct call *c, int *e)
{
    void (*wait)(unsigned) = c->guest->wait != NULL ? c->guest->wait : system_wait;
    unsigned ms = SNP_GUEST_WAIT_MS;
    for (unsigned i = 0; i < SNP_GUEST_TRIES; i++) {
        *e = call_once(c);
        if (!is_busy(c, *e))
            return OK;
        wait(ms);
        ms = ms * 2 < SNP_GUEST_WAIT_MS_MAX ? ms * 2 : SNP_GUEST_WAIT_MS_MAX;
    }
    FAIL(UNAVAILABLE);
}

static err fail_of(const struct call *c, int e)
{
    ENSURE(c->fw_error != STATUS_DENIED && c->fw_error != STATUS_KEY_DENIED, DENIED);
    ENSURE(e != ENOMEM, NOMEM);
    ENSURE(e != ENOENT && e != ENODEV && e != ENXIO, UNAVAILABLE);
    FAIL(SYSTEM);
}

static err succeed(struct call *c)
{
    int e = 0;
    TRY(call(c, &e));
    return e == 0 ? OK : fail_of(c, e);
}

/* --- reports --------------------------------------------------------------------------------- */

static uint32_t u32le(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static err take_report(const struct snp_report_resp *response, struct buf *out)
{
    uint32_t status = u32le(response->data);
    ENSURE(status != STATUS_DENIED, DENIED);
    ENSURE(status == 0, SYSTEM);
    ENSURE(u32le(response->data + 4) == SNP_REPORT_LEN, MALFORMED);
    return buf_add(out, bytes_of(response->data + REPORT_AT, SNP_REPORT_LEN));
}

struct exchange {
    struct snp_ext_report_req request; /* begins with the plain one */
    struct snp_report_resp response;
    struct buf certs; /* room */
};

static err plain_report(struct call *c, struct exchange *x, struct buf *report)
{
    c->code = SNP_GET_REPORT;
    c->request = &x->request.data;
    c->response = &x->response;
    TRY(succeed(c));
    return take_report(&x->response, report);
}

static err make_room(struct exchange *x, size_t len)
{
    uint8_t *room = NULL;
    buf_clear(&x->certs);
    x->certs = BUF(SNP_GUEST_CERTS_MAX);
    ENSURE(len <= SNP_GUEST_CERTS_MAX && len % PAGE == 0, LIMIT);
    TRY(buf_add_zeros(&x->certs, len));
    room = x->certs.at;
    x->request.certs_address = address_of(room);
    x->request.certs_len = (uint32_t)len;
    return OK;
}

/* True when the host asks for more room than it got. */
static bool wants_room(const struct call *c, int e, const struct exchange *x)
{
    return e != 0 && c->vmm_error == SNP_GUEST_VMM_ERR_INVALID_LEN &&
           x->request.certs_len > x->certs.len;
}

/* The host says once how much room it needs; one that keeps changing its mind gives up its table. */
static err call_extended(struct call *c, struct exchange *x, int *e)
{
    TRY(make_room(x, SNP_GUEST_CERTS_FIRST));
    TRY(call(c, e));
    if (!wants_room(c, *e, x))
        return OK;
    TRY(make_room(x, x->request.certs_len));
    return call(c, e);
}

/* *given says whether there was an answer at all; a host need not offer this. */
static err extended_report(struct call *c, struct exchange *x, struct buf *report,
                           struct buf *certs, bool *given)
{
    int e = 0;
    c->code = SNP_GET_EXT_REPORT;
    c->request = &x->request;
    c->response = &x->response;
    TRY(call_extended(c, x, &e));
    *given = e == 0;
    if (!*given)
        return OK;
    TRY(take_report(&x->response, report));
    return buf_add(certs, buf_view(&x->certs));
}

static err both(struct call *c, struct exchange *x, struct buf *report, struct buf *certs)
{
    bool given = false;
    if (certs != NULL)
        TRY(extended_report(c, x, report, certs, &given));
    return given ? OK : plain_report(c, x, report);
}

err snp_guest_report(const struct snp_guest *g, const uint8_t report_data[static 64], uint32_t vmpl,
                     struct buf *report, struct buf *certs)
{
    struct call c = { .guest = g, .fd = open(path_of(g), O_RDWR | O_CLOEXEC) };
    struct exchange x = { .request.data.vmpl = vmpl };
    ENSURE(c.fd >= 0, UNAVAILABLE);
    memcpy(x.request.data.user_data, report_data, sizeof x.request.data.user_data);
    err e = both(&c, &x, report, certs);
    buf_clear(&x.certs);
    (void)close(c.fd);
    return e;
}

/* --- keys ------------------------------------------------------------------------------------ */

_Static_assert(sizeof(struct snp_derived_key_req) == 32, "as the firmware has it");
_Static_assert(sizeof(struct snp_derived_key_resp) == KEY_AT + SNP_GUEST_KEY_LEN, "likewise");

static err take_key(const struct snp_derived_key_resp *response, uint8_t *key)
{
    uint32_t status = u32le(response->data);
    ENSURE(status != STATUS_DENIED && status != STATUS_KEY_DENIED, DENIED);
    ENSURE(status == 0, SYSTEM);
    memcpy(key, response->data + KEY_AT, SNP_GUEST_KEY_LEN);
    return OK;
}

static err derive(struct call *c, const struct snp_key_ask *ask, uint8_t *key)
{
    struct snp_derived_key_req request = { .guest_field_select = ask->fields,
                                           .vmpl = ask->vmpl,
                                           .guest_svn = ask->guest_svn,
                                           .tcb_version = ask->tcb };
    struct snp_derived_key_resp response = { .data = { 0 } };
    c->code = SNP_GET_DERIVED_KEY;
    c->request = &request;
    c->response = &response;
    err e = succeed(c);
    if (err_is_ok(e))
        e = take_key(&response, key);
    secret_wipe(&response, sizeof response);
    c->request = NULL;
    c->response = NULL;
    return e;
}

err snp_guest_derive_key(const struct snp_guest *g, const struct snp_key_ask *ask,
                         uint8_t key[static SNP_GUEST_KEY_LEN])
{
    struct call c = { .guest = g, .fd = open(path_of(g), O_RDWR | O_CLOEXEC) };
    ENSURE(c.fd >= 0, UNAVAILABLE);
    err e = derive(&c, ask, key);
    (void)close(c.fd);
    return e;
}
