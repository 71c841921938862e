/*
 * A command is {tag u16, size u32, code u32, handles, [size of authorizations u32, authorizations],
 * parameters}; an answer {tag u16, size u32, result u32, [size of parameters u32], parameters, ...}.
 * Big endian. Commands are small and built in a buf; nothing here outlives its call.
 */
#include "attest/tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"

enum { TAG_PLAIN = 0x8001, TAG_SESSIONS = 0x8002 };

enum {
    CODE_NV_DEFINE = 0x12a,
    CODE_NV_WRITE = 0x137,
    CODE_NV_READ = 0x14e,
    CODE_QUOTE = 0x158,
    CODE_NV_READ_PUBLIC = 0x169,
    CODE_PCR_READ = 0x17e
};

enum { ALG_SHA256 = 0x000b, ALG_NULL = 0x0010, ALG_RSASSA = 0x0014 };

enum { HEADER_LEN = 10, COMMAND_MAX = 1024, PCRS_PER_READ = 8 };

#define HANDLE_OWNER 0x40000001U
#define HANDLE_PASSWORD 0x40000009U
#define NV_OWNER_MAY_READ_AND_WRITE 0x00020002U

/* --- the device ------------------------------------------------------------------------------ */

static const char *path_of(const struct tpm *t)
{
    return t->path != NULL ? t->path : TPM_DEVICE;
}

bool tpm_present(const struct tpm *t)
{
    return access(path_of(t), R_OK | W_OK) == 0;
}

void tpm_wait(const struct tpm *t, unsigned ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    if (t->wait != NULL)
        t->wait(t, ms);
    else
        (void)nanosleep(&left, NULL);
}

static int talk(int fd, bytes command, struct buf *response)
{
    uint8_t *room = NULL;
    if (!err_is_ok(buf_reserve(response, TPM_MESSAGE_MAX, &room)))
        return ENOMEM;
    if (write(fd, command.at, command.len) != (ssize_t)command.len)
        return errno != 0 ? errno : EIO;
    ssize_t n = read(fd, room, TPM_MESSAGE_MAX);
    if (n < 0)
        return errno;
    buf_commit(response, (size_t)n);
    return 0;
}

static int system_exchange(const struct tpm *t, bytes command, struct buf *response)
{
    int fd = open(path_of(t), O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int e = talk(fd, command, response);
    (void)close(fd);
    return e;
}

/* --- commands -------------------------------------------------------------------------------- */

static err put_u32(struct buf *out, uint32_t v)
{
    return buf_add_u32be(out, v);
}

static err put_sized(struct buf *out, bytes b)
{
    ENSURE(b.len <= UINT16_MAX, LIMIT);
    TRY(buf_add_u16be(out, (uint16_t)b.len));
    return buf_add(out, b);
}

/* Size comes last, by finish(). */
static err begin(struct buf *c, uint16_t tag, uint32_t code)
{
    TRY(buf_add_u16be(c, tag));
    TRY(put_u32(c, 0));
    return put_u32(c, code);
}

/* One session: the empty password. */
static err put_password(struct buf *c)
{
    TRY(put_u32(c, 9));
    TRY(put_u32(c, HANDLE_PASSWORD));
    TRY(buf_add_u16be(c, 0));
    TRY(buf_add_u8(c, 0));
    return buf_add_u16be(c, 0);
}

static err begin_for(struct buf *c, uint32_t code, uint32_t handle, uint32_t second)
{
    TRY(begin(c, TAG_SESSIONS, code));
    TRY(put_u32(c, handle));
    if (second != 0)
        TRY(put_u32(c, second));
    return put_password(c);
}

static void finish(struct buf *c)
{
    for (size_t i = 0; i < 4; i++)
        c->at[2 + i] = (uint8_t)(c->len >> (24 - 8 * i));
}

static bool is_busy(uint32_t result)
{
    return result == 0x908 /* YIELDED */ || result == 0x922 /* RETRY */ ||
           result == 0x90a /* TESTING */;
}

static err fail_of(uint32_t result)
{
    uint32_t kind = (result & 0x80) != 0 ? result & 0xbf : result; /* without the number */
    ENSURE(kind != 0x8b /* HANDLE */ && result != 0x910 /* REFERENCE_H0 */, NOT_FOUND);
    ENSURE(result != 0x14a /* NV_UNINITIALIZED */, NOT_FOUND);
    ENSURE(kind != 0x8e /* AUTH_FAIL */ && kind != 0xa2 /* BAD_AUTH */, DENIED);
    ENSURE(result != 0x149 /* NV_AUTHORIZATION */ && result != 0x148 /* NV_LOCKED */, DENIED);
    FAIL(SYSTEM);
}

static err check_head(bytes in, bool sessions, uint32_t *result, bytes *parameters)
{
    uint16_t tag = 0;
    uint32_t size = 0;
    ENSURE(bytes_take_u16be(&in, &tag) && bytes_take_u32be(&in, &size), MALFORMED);
    ENSURE(bytes_take_u32be(&in, result) && size == in.len + HEADER_LEN, MALFORMED);
    if (*result != 0)
        return OK;
    ENSURE(tag == (sessions ? TAG_SESSIONS : TAG_PLAIN), MALFORMED);
    if (sessions) {
        ENSURE(bytes_take_u32be(&in, &size) && size <= in.len, MALFORMED);
        in.len = size;
    }
    *parameters = in;
    return OK;
}

/* Sends a finished command until the TPM is not busy. *parameters borrows from *response. */
static err call(const struct tpm *t, struct buf *command, struct buf *response, bytes *parameters)
{
    bool sessions = command->at[1] == (TAG_SESSIONS & 0xff);
    int (*exchange)(const struct tpm *, bytes, struct buf *) =
        t->exchange != NULL ? t->exchange : system_exchange;
    finish(command);
    for (unsigned i = 0; i < TPM_RETRIES; i++) {
        uint32_t result = 0;
        buf_truncate(response, 0);
        int e = exchange(t, buf_view(command), response);
        ENSURE(e != ENOMEM, NOMEM);
        ENSURE(e == 0, UNAVAILABLE);
        TRY(check_head(buf_view(response), sessions, &result, parameters));
        if (result == 0)
            return OK;
        if (!is_busy(result))
            return fail_of(result);
        tpm_wait(t, TPM_RETRY_MS);
    }
    FAIL(UNAVAILABLE);
}

static err take_sized(bytes *in, bytes *out)
{
    uint16_t len = 0;
    ENSURE(bytes_take_u16be(in, &len) && bytes_take(in, len, out), MALFORMED);
    return OK;
}

/* --- NV -------------------------------------------------------------------------------------- */

static err nv_size(const struct tpm *t, uint32_t index, uint16_t *out)
{
    BUF_AUTO command = BUF(COMMAND_MAX);
    BUF_AUTO response = BUF(TPM_MESSAGE_MAX);
    bytes in;
    bytes area;
    TRY(begin(&command, TAG_PLAIN, CODE_NV_READ_PUBLIC));
    TRY(put_u32(&command, index));
    TRY(call(t, &command, &response, &in));
    TRY(take_sized(&in, &area));
    /* index, name algorithm, attributes, policy, size */
    ENSURE(area.len >= 14, MALFORMED);
    area = bytes_slice(area, area.len - 2, 2);
    ENSURE(bytes_take_u16be(&area, out), MALFORMED);
    return OK;
}

static err nv_read_part(const struct tpm *t, uint32_t index, uint16_t offset, uint16_t len,
                        struct buf *out)
{
    BUF_AUTO command = BUF(COMMAND_MAX);
    BUF_AUTO response = BUF(TPM_MESSAGE_MAX);
    bytes in;
    bytes part;
    TRY(begin_for(&command, CODE_NV_READ, HANDLE_OWNER, index));
    TRY(buf_add_u16be(&command, len));
    TRY(buf_add_u16be(&command, offset));
    TRY(call(t, &command, &response, &in));
    TRY(take_sized(&in, &part));
    ENSURE(part.len == len, MALFORMED);
    return buf_add(out, part);
}

err tpm_nv_read(const struct tpm *t, uint32_t index, struct buf *out)
{
    uint16_t size = 0;
    TRY(nv_size(t, index, &size));
    ENSURE(size <= TPM_NV_MAX, LIMIT);
    for (uint16_t at = 0; at < size;) {
        uint16_t left = (uint16_t)(size - at);
        uint16_t len = left < TPM_NV_PART ? left : (uint16_t)TPM_NV_PART;
        TRY(nv_read_part(t, index, at, len, out));
        at = (uint16_t)(at + len);
    }
    return OK;
}

static err nv_define(const struct tpm *t, uint32_t index, uint16_t len)
{
    BUF_AUTO command = BUF(COMMAND_MAX);
    BUF_AUTO response = BUF(TPM_MESSAGE_MAX);
    bytes in;
    TRY(begin_for(&command, CODE_NV_DEFINE, HANDLE_OWNER, 0));
    TRY(put_sized(&command, (bytes){ 0 })); /* its password */
    TRY(buf_add_u16be(&command, 14));
    TRY(put_u32(&command, index));
    TRY(buf_add_u16be(&command, ALG_SHA256));
    TRY(put_u32(&command, NV_OWNER_MAY_READ_AND_WRITE));
    TRY(put_sized(&command, (bytes){ 0 })); /* its policy */
    TRY(buf_add_u16be(&command, len));
    return call(t, &command, &response, &in);
}

err tpm_nv_write(const struct tpm *t, uint32_t index, bytes content)
{
    BUF_AUTO command = BUF(COMMAND_MAX);
    BUF_AUTO response = BUF(TPM_MESSAGE_MAX);
    uint16_t size = 0;
    bytes in;
    ENSURE(content.len <= TPM_NV_WRITE_MAX, LIMIT);
    err e = nv_size(t, index, &size);
    if (e.code == ERR_NOT_FOUND)
        e = nv_define(t, index, (uint16_t)content.len);
    TRY(e);
    TRY(begin_for(&command, CODE_NV_WRITE, HANDLE_OWNER, index));
    TRY(put_sized(&command, content));
    TRY(buf_add_u16be(&command, 0));
    return call(t, &command, &response, &in);
}

/* --- PCRs and quotes ------------------------------------------------------------------------- */

static err put_selection(struct buf *c, uint32_t selected)
{
    TRY(put_u32(c, 1));
    TRY(buf_add_u16be(c, ALG_SHA256));
    TRY(buf_add_u8(c, 3));
    TRY(buf_add_u8(c, (uint8_t)selected));
    TRY(buf_add_u8(c, (uint8_t)(selected >> 8)));
    return buf_add_u8(c, (uint8_t)(selected >> 16));
}

/* The selection is given back; it has to be the one that was asked for. */
static err take_values(bytes in, uint32_t selected, struct buf *out)
{
    BUF_AUTO asked = BUF(16);
    uint32_t counter = 0;
    uint32_t n = 0;
    bytes given;
    bytes value;
    TRY(put_selection(&asked, selected));
    ENSURE(bytes_take_u32be(&in, &counter) && bytes_take(&in, asked.len, &given), MALFORMED);
    ENSURE(bytes_equal(given, buf_view(&asked)), UNSUPPORTED);
    ENSURE(bytes_take_u32be(&in, &n) && n == PCRS_PER_READ, MALFORMED);
    for (uint32_t i = 0; i < n; i++) {
        TRY(take_sized(&in, &value));
        ENSURE(value.len == TPM_PCR_LEN, MALFORMED);
        TRY(buf_add(out, value));
    }
    return OK;
}

static err read_pcrs(const struct tpm *t, struct buf *out)
{
    for (unsigned first = 0; first < TPM_PCRS; first += PCRS_PER_READ) {
        BUF_AUTO command = BUF(COMMAND_MAX);
        BUF_AUTO response = BUF(TPM_MESSAGE_MAX);
        bytes in;
        TRY(begin(&command, TAG_PLAIN, CODE_PCR_READ));
        TRY(put_selection(&command, 0xffU << first));
        TRY(call(t, &command, &response, &in));
        TRY(take_values(in, 0xffU << first, out));
    }
    return OK;
}

static err take_quote(bytes in, struct tpm_quoted *out)
{
    uint16_t scheme = 0;
    uint16_t hash = 0;
    bytes quote;
    bytes signature;
    TRY(take_sized(&in, &quote));
    ENSURE(bytes_take_u16be(&in, &scheme), MALFORMED);
    ENSURE(scheme == ALG_RSASSA, UNSUPPORTED);
    ENSURE(bytes_take_u16be(&in, &hash), MALFORMED);
    ENSURE(hash == ALG_SHA256, UNSUPPORTED);
    TRY(take_sized(&in, &signature));
    TRY(buf_add(&out->quote, quote));
    return buf_add(&out->signature, signature);
}

static err quote_once(const struct tpm *t, uint32_t key, bytes qualifying, struct tpm_quoted *out)
{
    BUF_AUTO command = BUF(COMMAND_MAX);
    BUF_AUTO response = BUF(TPM_MESSAGE_MAX);
    bytes in;
    *out = (struct tpm_quoted){ .quote = BUF(TPM_QUOTE_MAX),
                                .signature = BUF(TPM_SIGNATURE_MAX),
                                .pcrs = BUF(TPM_PCRS * TPM_PCR_LEN) };
    TRY(read_pcrs(t, &out->pcrs));
    TRY(begin_for(&command, CODE_QUOTE, key, 0));
    TRY(put_sized(&command, qualifying));
    TRY(buf_add_u16be(&command, ALG_NULL)); /* the key's own scheme */
    TRY(put_selection(&command, 0xffffff));
    TRY(call(t, &command, &response, &in));
    return take_quote(in, out);
}

static err covers(const struct tpm_quoted *q, bool *out)
{
    struct tpm_quote read;
    TRY(tpm_quote_read(buf_view(&q->quote), &read));
    *out = tpm_quote_covers(&read, buf_view(&q->pcrs));
    return OK;
}

err tpm_quote(const struct tpm *t, uint32_t key, bytes qualifying, struct tpm_quoted *out)
{
    *out = (struct tpm_quoted){ 0 };
    ENSURE(qualifying.len <= TPM_EXTRA_MAX, LIMIT);
    for (unsigned i = 0; i < TPM_QUOTE_TRIES; i++) {
        bool holds = false;
        tpm_quoted_clear(out);
        TRY(quote_once(t, key, qualifying, out));
        TRY(covers(out, &holds));
        if (holds)
            return OK;
    }
    FAIL(UNAVAILABLE);
}

void tpm_quoted_clear(struct tpm_quoted *q)
{
    buf_clear(&q->quote);
    buf_clear(&q->signature);
    buf_clear(&q->pcrs);
    *q = (struct tpm_quoted){ 0 };
}
