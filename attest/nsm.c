#include "attest/nsm.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cbor_any.h"

/* _IOWR(0x0A, 0, struct message) */
#define NSM_CODE 0xC0200A00UL

struct message {
    struct iovec request;
    struct iovec response;
};

_Static_assert(sizeof(struct message) == 0x20, "the size is in the ioctl's number");

/* --- messages ---------------------------------------------------------------------------------- */

static err put_field(struct buf *out, const char *key, bytes value)
{
    ENSURE(value.len <= NSM_FIELD_MAX, LIMIT);
    TRY(cbor_put_text(out, bytes_str(key)));
    return value.len > 0 ? cbor_put_bytes(out, value) : cbor_put_null(out);
}

err nsm_attestation_request(struct buf *out, const struct nsm_ask *ask)
{
    TRY(cbor_put_map(out, 1));
    TRY(cbor_put_text(out, BYTES_LIT("Attestation")));
    TRY(cbor_put_map(out, 3));
    TRY(put_field(out, "user_data", ask->user_data));
    TRY(put_field(out, "nonce", ask->nonce));
    return put_field(out, "public_key", ask->public_key);
}

/* The head of a map of one pair, and its key. */
static err take_pair(bytes *in, struct cbor_run *run, bytes *key)
{
    TRY(cbor_any_map(in, run));
    ENSURE(cbor_any_more(in, run), MALFORMED);
    return cbor_take_text(in, key);
}

static err end_pair(bytes *in, struct cbor_run *run)
{
    ENSURE(!cbor_any_more(in, run), MALFORMED);
    return cbor_any_end(run);
}

err nsm_attestation_response(bytes in, bytes *document)
{
    struct cbor_run outer, inner;
    bytes kind, key, value;
    TRY(take_pair(&in, &outer, &kind));
    ENSURE(!bytes_equal(kind, BYTES_LIT("Error")), UNAVAILABLE);
    ENSURE(bytes_equal(kind, BYTES_LIT("Attestation")), MALFORMED);
    TRY(take_pair(&in, &inner, &key));
    ENSURE(bytes_equal(key, BYTES_LIT("document")), MALFORMED);
    TRY(cbor_take_bytes(&in, &value));
    TRY(end_pair(&in, &inner));
    TRY(end_pair(&in, &outer));
    ENSURE(in.len == 0 && value.len > 0, MALFORMED);
    *document = value;
    return OK;
}

/* --- device ------------------------------------------------------------------------------------ */

static int system_ioctl(int fd, unsigned long code, void *argument)
{
    return ioctl(fd, code, argument);
}

static const char *path_of(const struct nsm_device *device)
{
    return device->path != NULL ? device->path : NSM_DEVICE;
}

/* The driver leaves the answer's true length in the response. */
static err exchange(const struct nsm_device *device, struct buf *request, struct buf *response)
{
    uint8_t *room;
    TRY(buf_reserve(response, NSM_RESPONSE_MAX, &room));
    struct message m = { .request = { request->at, request->len },
                         .response = { room, NSM_RESPONSE_MAX } };
    nsm_ioctl *control = device->control != NULL ? device->control : system_ioctl;
    int fd = open(path_of(device), O_RDWR | O_CLOEXEC);
    ENSURE(fd >= 0, UNAVAILABLE);
    int status = control(fd, NSM_CODE, &m);
    (void)close(fd);
    ENSURE(status == 0, SYSTEM);
    ENSURE(m.response.iov_len <= NSM_RESPONSE_MAX, MALFORMED);
    buf_commit(response, m.response.iov_len);
    return OK;
}

err nsm_attest(const struct nsm_device *device, const struct nsm_ask *ask, struct buf *document)
{
    bytes answer;
    BUF_AUTO request = BUF(NSM_REQUEST_MAX);
    BUF_AUTO response = BUF(NSM_RESPONSE_MAX);
    TRY(nsm_attestation_request(&request, ask));
    TRY(exchange(device, &request, &response));
    TRY(nsm_attestation_response(buf_view(&response), &answer));
    return buf_add(document, answer);
}

bool nsm_present(const struct nsm_device *device)
{
    return access(path_of(device), R_OK | W_OK) == 0;
}
