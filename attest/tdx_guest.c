#include "attest/tdx_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/text.h"
#include "crypto/secret.h"

/* _IOWR('T', 1, struct report_request) */
#define GET_REPORT0 0xC4405401UL

enum {
    QGS_MAJOR = 1,
    QGS_MINOR = 0,
    QGS_GET_QUOTE_REQ = 0,
    QGS_GET_QUOTE_RESP = 1,
    QGS_HEAD_LEN = 16,
    QGS_FIXED_LEN = QGS_HEAD_LEN + 8,
    LENGTH_LEN = 4,
    SETTINGS_MAX = 4096,
    PORT_MAX = 65535
};

struct report_request {
    uint8_t report_data[TDX_REPORT_DATA_LEN];
    uint8_t tdreport[TDX_REPORT_LEN];
};

_Static_assert(sizeof(struct report_request) == 0x440, "the size is in the ioctl's number");

/* --- messages -------------------------------------------------------------------------------- */

static err put_le(struct buf *out, uint32_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        TRY(buf_add_u8(out, (uint8_t)(v >> 8 * i)));
    return OK;
}

static bool take_le(bytes *in, size_t n, uint32_t *out)
{
    bytes b;
    if (!bytes_take(in, n, &b))
        return false;
    *out = 0;
    for (size_t i = n; i > 0; i--)
        *out = *out << 8 | b.at[i - 1];
    return true;
}

err tdx_qgs_request(struct buf *out, bytes tdreport)
{
    struct tdx_report parsed;
    uint32_t size = QGS_FIXED_LEN + TDX_REPORT_LEN;
    TRY(tdx_report_read(tdreport, &parsed));
    TRY(buf_add_u32be(out, size));
    TRY(put_le(out, QGS_MAJOR, 2));
    TRY(put_le(out, QGS_MINOR, 2));
    TRY(put_le(out, QGS_GET_QUOTE_REQ, 4));
    TRY(put_le(out, size, 4));
    TRY(put_le(out, 0, 4));
    TRY(put_le(out, TDX_REPORT_LEN, 4));
    TRY(put_le(out, 0, 4)); /* no list of attestation keys to choose from */
    return buf_add(out, tdreport);
}

err tdx_qgs_response(bytes in, bytes *quote)
{
    uint32_t major;
    uint32_t minor;
    uint32_t type;
    uint32_t size;
    uint32_t error;
    uint32_t id_len;
    uint32_t quote_len;
    size_t whole = in.len;
    bool got = take_le(&in, 2, &major) && take_le(&in, 2, &minor) && take_le(&in, 4, &type) &&
               take_le(&in, 4, &size) && take_le(&in, 4, &error);
    ENSURE(got && major == QGS_MAJOR && type == QGS_GET_QUOTE_RESP && size == whole, MALFORMED);
    ENSURE(error == 0, UNAVAILABLE);
    ENSURE(take_le(&in, 4, &id_len) && take_le(&in, 4, &quote_len), MALFORMED);
    ENSURE(id_len == 0 && quote_len > 0 && quote_len == in.len, MALFORMED);
    *quote = in;
    return OK;
}

/* Lines "port = 4050"; a '#' starts a comment. */
static uint32_t port_of_line(bytes line)
{
    uint64_t port = 0;
    line = bytes_slice(line, 0, text_find(line, BYTES_LIT("#")));
    size_t equals = text_find(line, BYTES_LIT("="));
    bytes key = text_trim(bytes_slice(line, 0, equals));
    bytes value = text_trim(bytes_slice(line, equals + 1, line.len));
    if (!bytes_equal(key, BYTES_LIT("port")) || !text_u64(value, &port) || port > PORT_MAX)
        return 0;
    return (uint32_t)port;
}

uint32_t tdx_qgs_port(bytes text)
{
    while (text.len > 0) {
        size_t end = text_find(text, BYTES_LIT("\n"));
        uint32_t port = port_of_line(bytes_slice(text, 0, end));
        if (port != 0)
            return port;
        text = bytes_slice(text, end + 1, text.len);
    }
    return 0;
}

/* --- the kernel ------------------------------------------------------------------------------ */

static int system_control(int fd, unsigned long code, void *argument)
{
    return ioctl(fd, code, argument);
}

static int open_device(const struct tdx_guest *g)
{
    if (g->device != NULL)
        return open(g->device, O_RDWR | O_CLOEXEC);
    int fd = open(TDX_GUEST_DEVICE, O_RDWR | O_CLOEXEC);
    return fd >= 0 ? fd : open(TDX_GUEST_DEVICE_OLD, O_RDWR | O_CLOEXEC);
}

bool tdx_guest_present(const struct tdx_guest *g)
{
    if (g->device != NULL)
        return access(g->device, F_OK) == 0;
    return access(TDX_GUEST_DEVICE, F_OK) == 0 || access(TDX_GUEST_DEVICE_OLD, F_OK) == 0;
}

static err check_report(const struct report_request *r)
{
    struct tdx_report parsed;
    TRY(tdx_report_read(BYTES_ARRAY(r->tdreport), &parsed));
    ENSURE(secret_equal(parsed.report_data, BYTES_ARRAY(r->report_data)), MALFORMED);
    return OK;
}

err tdx_guest_report(const struct tdx_guest *g, const uint8_t report_data[static 64],
                     struct buf *out)
{
    struct report_request r = { 0 };
    memcpy(r.report_data, report_data, sizeof r.report_data);
    int fd = open_device(g);
    ENSURE(fd >= 0, UNAVAILABLE);
    int done = (g->control != NULL ? g->control : system_control)(fd, GET_REPORT0, &r);
    (void)close(fd);
    ENSURE(done == 0, SYSTEM);
    TRY(check_report(&r));
    return buf_add(out, BYTES_ARRAY(r.tdreport));
}

/* --- the service ----------------------------------------------------------------------------- */

static int system_connect(uint32_t port)
{
    struct sockaddr_vm to = { .svm_family = AF_VSOCK,
                              .svm_cid = VMADDR_CID_HOST,
                              .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static uint32_t port_from_settings(void)
{
    uint8_t text[SETTINGS_MAX];
    int fd = open(TDX_GUEST_SETTINGS, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return TDX_QGS_PORT_DEFAULT;
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    uint32_t port = n > 0 ? tdx_qgs_port(bytes_of(text, (size_t)n)) : 0;
    return port != 0 ? port : TDX_QGS_PORT_DEFAULT;
}

static err fail_of(int e)
{
    ENSURE(e != EAGAIN, TIMEOUT);
    FAIL(CLOSED);
}

static err send_all(int fd, bytes b)
{
    while (b.len > 0) {
        ssize_t n = send(fd, b.at, b.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_of(errno);
        b = bytes_slice(b, (size_t)n, b.len);
    }
    return OK;
}

static err receive_exactly(int fd, size_t n, struct buf *out)
{
    while (n > 0) {
        uint8_t part[4096];
        ssize_t got = recv(fd, part, n < sizeof part ? n : sizeof part, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail_of(got < 0 ? errno : 0);
        TRY(buf_add(out, bytes_of(part, (size_t)got)));
        n -= (size_t)got;
    }
    return OK;
}

static err receive_message(int fd, struct buf *out)
{
    BUF_AUTO length = BUF(LENGTH_LEN);
    uint32_t n;
    TRY(receive_exactly(fd, LENGTH_LEN, &length));
    bytes view = buf_view(&length);
    ENSURE(bytes_take_u32be(&view, &n), INTERNAL);
    ENSURE(n <= TDX_QGS_MESSAGE_MAX, LIMIT);
    return receive_exactly(fd, n, out);
}

static err converse(int fd, bytes tdreport, struct buf *out)
{
    struct timeval patience = { .tv_sec = TDX_QGS_TIMEOUT_S };
    BUF_AUTO request = BUF(TDX_QGS_MESSAGE_MAX);
    BUF_AUTO answer = BUF(TDX_QGS_MESSAGE_MAX);
    bytes quote;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    TRY(tdx_qgs_request(&request, tdreport));
    TRY(send_all(fd, buf_view(&request)));
    TRY(receive_message(fd, &answer));
    TRY(tdx_qgs_response(buf_view(&answer), &quote));
    return buf_add(out, quote);
}

err tdx_guest_quote(const struct tdx_guest *g, const uint8_t report_data[static 64],
                    struct buf *out)
{
    BUF_AUTO tdreport = BUF(TDX_REPORT_LEN);
    TRY(tdx_guest_report(g, report_data, &tdreport));
    uint32_t port = g->port != 0 ? g->port : port_from_settings();
    int fd = (g->connect != NULL ? g->connect : system_connect)(port);
    ENSURE(fd >= 0, UNAVAILABLE);
    err e = converse(fd, buf_view(&tdreport), out);
    (void)close(fd);
    return e;
}
