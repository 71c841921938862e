#include <errno.h>
#include <sys/uio.h>

#include "attest/nsm.h"
#include "tests/lib/law.h"

enum { LARGE = 64 * 1024 };

static void load(struct buf *out, const char *name)
{
    BUF_AUTO path = BUF(4096);
    buf_truncate(out, 0);
    CHECK_OK(buf_addf(&path, "%s/attest/nitro/%s", law_vectors(), name));
    law_read_file(out, buf_str(&path));
}

static const struct nsm_ask ask = {
    .user_data = { (const uint8_t *)"user data", 9 },
    .nonce = { (const uint8_t *)"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                                "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f",
               32 },
    .public_key = { (const uint8_t *)"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e"
                                     "\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d"
                                     "\x9e\x9f",
                    32 },
};

static void requests_are_those_that_were_recorded(void **state)
{
    (void)state;
    BUF_AUTO want = BUF(LARGE);
    BUF_AUTO got = BUF(NSM_REQUEST_MAX);
    if (law_vectors() == NULL)
        skip();
    load(&want, "nsm/request-attestation.cbor");
    CHECK_OK(nsm_attestation_request(&got, &ask));
    CHECK_BYTES(buf_view(&got), buf_view(&want));
    load(&want, "nsm/request-attestation-nulls.cbor");
    buf_truncate(&got, 0);
    CHECK_OK(nsm_attestation_request(&got, &(struct nsm_ask){ .public_key = ask.public_key }));
    CHECK_BYTES(buf_view(&got), buf_view(&want));
}

static void a_field_over_its_limit_is_refused(void **state)
{
    (void)state;
    BUF_AUTO large = BUF(NSM_FIELD_MAX + 1);
    BUF_AUTO out = BUF(NSM_REQUEST_MAX);
    CHECK_OK(buf_add_zeros(&large, NSM_FIELD_MAX + 1));
    bytes most = bytes_of(large.at, NSM_FIELD_MAX);
    CHECK_OK(nsm_attestation_request(&out, &(struct nsm_ask){ most, most, most }));
    CHECK_ERR(nsm_attestation_request(&out, &(struct nsm_ask){ .nonce = buf_view(&large) }), LIMIT);
}

static err answer(const char *hex)
{
    BUF_AUTO in = BUF(LARGE);
    bytes document = { 0 };
    law_hex(&in, hex);
    err e = nsm_attestation_response(buf_view(&in), &document);
    CHECK(err_is_ok(e) == (document.len > 0));
    return e;
}

#define ATTESTATION "6b4174746573746174696f6e"
#define DOCUMENT "68646f63756d656e74"

static void only_one_answer_is_taken(void **state)
{
    (void)state;
    CHECK_OK(answer("a1" ATTESTATION "a1" DOCUMENT "4101"));
    CHECK_OK(answer("bf" ATTESTATION "bf" DOCUMENT "4101ffff"));
    CHECK_ERR(answer("a1" ATTESTATION "a1" DOCUMENT "40"), MALFORMED);
    CHECK_ERR(answer("a1" ATTESTATION "a1" DOCUMENT "6101"), MALFORMED);
    CHECK_ERR(answer("a1" ATTESTATION "a1" DOCUMENT "410100"), MALFORMED);
    CHECK_ERR(answer("a2" ATTESTATION "a1" DOCUMENT "4101616100"), MALFORMED);
    CHECK_ERR(answer("a1" ATTESTATION "a0"), MALFORMED);
    CHECK_ERR(answer("a1654572726f726f496e76616c6964417267756d656e74"), UNAVAILABLE);
    CHECK_ERR(answer(""), TRUNCATED);
}

static void recorded_answers_are_taken_or_refused(void **state)
{
    (void)state;
    BUF_AUTO in = BUF(LARGE);
    BUF_AUTO want = BUF(LARGE);
    bytes document;
    if (law_vectors() == NULL)
        skip();
    load(&in, "nsm/response-attestation.cbor");
    load(&want, "docs/prod-2025-12-us-east-1.cbor");
    CHECK_OK(nsm_attestation_response(buf_view(&in), &document));
    CHECK_BYTES(document, buf_view(&want));
    for (size_t n = 0; n < in.len; n += 7)
        CHECK(!err_is_ok(nsm_attestation_response(bytes_of(in.at, n), &document)));
    static const char *const bad[] = { "nsm/neg-response-document-text.cbor",
                                       "nsm/neg-response-empty.cbor",
                                       "nsm/neg-response-other-kind.cbor",
                                       "nsm/neg-response-truncated.cbor",
                                       "nsm/response-error.cbor",
                                       "nsm/response-get-random.cbor" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        load(&in, bad[i]);
        CHECK(!err_is_ok(nsm_attestation_response(buf_view(&in), &document)));
    }
}

/* --- the device; struct message as the driver knows it ------------------------------------------ */

struct message {
    struct iovec request;
    struct iovec response;
};

static struct buf told;      /* what the device was asked */
static bytes device_answer;  /* what it says */
static size_t device_length; /* what it says its answer's length is */
static int device_status;

static int fake_ioctl(int fd, unsigned long code, void *argument)
{
    struct message *message = argument;
    CHECK(fd >= 0 && code == 0xC0200A00UL);
    buf_truncate(&told, 0);
    CHECK_OK(buf_add(&told, bytes_of(message->request.iov_base, message->request.iov_len)));
    CHECK(message->response.iov_len == NSM_RESPONSE_MAX);
    if (device_answer.len > 0)
        memcpy(message->response.iov_base, device_answer.at, device_answer.len);
    message->response.iov_len = device_length;
    errno = EMSGSIZE;
    return device_status;
}

static const struct nsm_device device = { .path = "/dev/null", .control = fake_ioctl };

static err attest(bytes says, size_t length, int status, struct buf *out)
{
    device_answer = says;
    device_length = length;
    device_status = status;
    told = BUF(NSM_REQUEST_MAX);
    err e = nsm_attest(&device, &ask, out);
    BUF_AUTO want = BUF(NSM_REQUEST_MAX);
    CHECK_OK(nsm_attestation_request(&want, &ask));
    CHECK_BYTES(buf_view(&told), buf_view(&want));
    buf_clear(&told);
    return e;
}

#define GOOD                                                                                       \
    "\xa1\x6b"                                                                                     \
    "Attestation\xa1\x68"                                                                          \
    "document\x42ok"

static void the_device_is_asked_once_and_its_document_appended(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(64);
    CHECK_OK(buf_add_str(&out, "x"));
    CHECK_OK(attest(BYTES_LIT(GOOD), sizeof GOOD - 1, 0, &out));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("xok"));
}

static void a_device_that_fails_or_lies_is_an_error(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(64);
    CHECK_ERR(attest(BYTES_LIT(GOOD), sizeof GOOD - 1, -1, &out), SYSTEM);
    CHECK_ERR(attest(BYTES_LIT(GOOD), NSM_RESPONSE_MAX + 1, 0, &out), MALFORMED);
    CHECK_ERR(attest(BYTES_LIT(GOOD), sizeof GOOD - 2, 0, &out), TRUNCATED);
    CHECK_ERR(attest(BYTES_LIT(GOOD), 0, 0, &out), TRUNCATED);
    CHECK(out.len == 0);
}

static void no_device_is_said_so(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(64);
    struct nsm_device none = { .path = "/nonexistent/nsm", .control = fake_ioctl };
    CHECK_ERR(nsm_attest(&none, &ask, &out), UNAVAILABLE);
    CHECK(!nsm_present(&none));
    CHECK(nsm_present(&device));
}

static err attest_once(void *arg)
{
    (void)arg;
    BUF_AUTO out = BUF(64);
    return nsm_attest(&device, &ask, &out);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    device_answer = BYTES_LIT(GOOD);
    device_length = sizeof GOOD - 1;
    device_status = 0;
    told = BUF(NSM_REQUEST_MAX);
    CHECK_OK(buf_add_zeros(&told, NSM_REQUEST_MAX));
    law_every_allocation_fails_once(attest_once, NULL);
    buf_clear(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_those_that_were_recorded),
        cmocka_unit_test(a_field_over_its_limit_is_refused),
        cmocka_unit_test(only_one_answer_is_taken),
        cmocka_unit_test(recorded_answers_are_taken_or_refused),
        cmocka_unit_test(the_device_is_asked_once_and_its_document_appended),
        cmocka_unit_test(a_device_that_fails_or_lies_is_an_error),
        cmocka_unit_test(no_device_is_said_so),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
