#include <errno.h>
#include <linux/sev-guest.h>
#include <sys/ioctl.h>

#include "attest/snp_guest.h"
#include "tests/lib/law.h"

/* A kernel, a firmware and a host behind it, with the faults they are told to have. */
static struct {
    unsigned calls[3]; /* by number of the request */
    unsigned waits;
    unsigned waited_ms;
    unsigned busy;       /* so many calls of the host are in vain */
    unsigned busy_errno; /* 0: the host says so in its own code */
    uint32_t needs;      /* room for certificates; 0: the host has none */
    bool no_extended;
    uint32_t fw_error;
    uint32_t status;
    uint32_t size;
    uint8_t seen[64];
    uint32_t seen_vmpl;
    struct snp_derived_key_req seen_key;
} kernel;

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr): as the kernel has it */
}

static int fail_with(struct snp_guest_request_ioctl *m, uint32_t vmm, uint32_t fw, int error)
{
    m->vmm_error = vmm;
    m->fw_error = fw;
    errno = error;
    return -1;
}

static void put32(uint8_t *at, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

static void answer(const struct snp_report_req *request, struct snp_report_resp *response)
{
    memcpy(kernel.seen, request->user_data, 64);
    kernel.seen_vmpl = request->vmpl;
    for (size_t i = 0; i < sizeof request->rsvd; i++)
        CHECK(request->rsvd[i] == 0);
    put32(response->data, kernel.status);
    put32(response->data + 4, kernel.size);
    for (size_t i = 0; i < SNP_REPORT_LEN; i++)
        response->data[32 + i] = (uint8_t)i;
}

static int give_extended(struct snp_guest_request_ioctl *m, struct snp_ext_report_req *request)
{
    if (kernel.no_extended)
        return fail_with(m, 0, 0, EINVAL);
    if (request->certs_len < kernel.needs) {
        request->certs_len = kernel.needs;
        return fail_with(m, SNP_GUEST_VMM_ERR_INVALID_LEN, 0, ENOSPC);
    }
    CHECK(request->certs_len % 4096 == 0);
    if (kernel.needs > 0)
        memset(pointer(request->certs_address), 0xce, kernel.needs);
    answer(&request->data, pointer(m->resp_data));
    return 0;
}

static int give_key(const struct snp_guest_request_ioctl *m)
{
    struct snp_derived_key_resp *response = pointer(m->resp_data);
    kernel.seen_key = *(const struct snp_derived_key_req *)pointer(m->req_data);
    put32(response->data, kernel.status);
    memset(response->data + 32, 0x4b, 32);
    return 0;
}

static int control(int fd, unsigned long code, void *argument)
{
    struct snp_guest_request_ioctl *m = argument;
    unsigned which = code & 0xff;
    CHECK(fd >= 0 && m->msg_version == 1 && which < 3);
    CHECK(code == SNP_GET_REPORT || code == SNP_GET_DERIVED_KEY || code == SNP_GET_EXT_REPORT);
    kernel.calls[which]++;
    if (kernel.busy > 0) {
        kernel.busy--;
        return kernel.busy_errno != 0 ? fail_with(m, 0, 0, (int)kernel.busy_errno)
                                      : fail_with(m, SNP_GUEST_VMM_ERR_BUSY, 0, EIO);
    }
    if (kernel.fw_error != 0)
        return fail_with(m, 0, kernel.fw_error, EIO);
    if (code == SNP_GET_EXT_REPORT)
        return give_extended(m, pointer(m->req_data));
    if (code == SNP_GET_DERIVED_KEY)
        return give_key(m);
    answer(pointer(m->req_data), pointer(m->resp_data));
    return 0;
}

static void wait_in_vain(unsigned ms)
{
    kernel.waits++;
    kernel.waited_ms += ms;
}

static const struct snp_guest guest = { .path = "/dev/null",
                                        .control = control,
                                        .wait = wait_in_vain };

static uint8_t data[64] = { 1, 2, 3 };

static int fresh(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    kernel.size = SNP_REPORT_LEN;
    return 0;
}

static err ask(struct buf *report, struct buf *certs)
{
    buf_clear(report);
    *report = BUF(SNP_REPORT_LEN);
    if (certs != NULL) {
        buf_clear(certs);
        *certs = BUF(SNP_GUEST_CERTS_MAX);
    }
    return snp_guest_report(&guest, data, 2, report, certs);
}

static void the_numbers_are_those_of_the_kernel(void **state)
{
    (void)state;
    CHECK(SNP_GET_REPORT == 0xc0205300 && SNP_GET_DERIVED_KEY == 0xc0205301);
    CHECK(SNP_GET_EXT_REPORT == 0xc0205302);
}

static void a_report_is_asked_for_with_data_and_vmpl(void **state)
{
    (void)state;
    BUF_AUTO report = BUF(0);
    CHECK_OK(ask(&report, NULL));
    CHECK(report.len == SNP_REPORT_LEN && report.at[5] == 5);
    CHECK_BYTES(BYTES_ARRAY(kernel.seen), BYTES_ARRAY(data));
    CHECK(kernel.seen_vmpl == 2 && kernel.calls[0] == 1 && kernel.calls[2] == 0);
}

static void certificates_come_along(void **state)
{
    (void)state;
    BUF_AUTO report = BUF(0);
    BUF_AUTO certs = BUF(0);
    kernel.needs = 8192;
    CHECK_OK(ask(&report, &certs));
    CHECK(report.len == SNP_REPORT_LEN && certs.len >= 8192 && certs.at[8191] == 0xce);
    CHECK(kernel.calls[2] == 1 && kernel.calls[0] == 0);
    kernel.needs = 0;
    CHECK_OK(ask(&report, &certs));
    CHECK(report.len == SNP_REPORT_LEN && certs.at[0] == 0);
}

static void a_host_gets_the_room_it_asks_for_up_to_the_limit(void **state)
{
    (void)state;
    BUF_AUTO report = BUF(0);
    BUF_AUTO certs = BUF(0);
    kernel.needs = SNP_GUEST_CERTS_MAX;
    CHECK_OK(ask(&report, &certs));
    CHECK(certs.len == SNP_GUEST_CERTS_MAX && kernel.calls[2] == 2);
    CHECK_BYTES(BYTES_ARRAY(kernel.seen), BYTES_ARRAY(data));
    kernel.needs = SNP_GUEST_CERTS_MAX + 4096;
    CHECK_ERR(ask(&report, &certs), LIMIT);
    kernel.needs = SNP_GUEST_CERTS_FIRST + 1;
    CHECK_ERR(ask(&report, &certs), LIMIT); /* no multiple of a page */
}

static void a_host_without_certificates_still_lets_the_report_pass(void **state)
{
    (void)state;
    BUF_AUTO report = BUF(0);
    BUF_AUTO certs = BUF(0);
    kernel.no_extended = true;
    CHECK_OK(ask(&report, &certs));
    CHECK(report.len == SNP_REPORT_LEN && certs.len == 0 && kernel.calls[0] == 1);
}

static void a_busy_host_is_asked_again_but_not_for_ever(void **state)
{
    (void)state;
    static const unsigned errors[] = { 0, EAGAIN, EBUSY, EINTR, ETIMEDOUT };
    BUF_AUTO report = BUF(0);
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        (void)fresh(NULL);
        kernel.busy_errno = errors[i];
        kernel.busy = SNP_GUEST_TRIES - 1;
        CHECK_OK(ask(&report, NULL));
        CHECK(kernel.calls[0] == SNP_GUEST_TRIES && kernel.waits == SNP_GUEST_TRIES - 1);
        kernel.busy = SNP_GUEST_TRIES;
        CHECK_ERR(ask(&report, NULL), UNAVAILABLE);
        CHECK(report.len == 0);
    }
    CHECK(kernel.waited_ms <= 2U * SNP_GUEST_TRIES * SNP_GUEST_WAIT_MS_MAX);
}

static void what_the_firmware_refuses_is_refused(void **state)
{
    (void)state;
    BUF_AUTO report = BUF(0);
    BUF_AUTO certs = BUF(0);
    kernel.fw_error = 0x16;
    CHECK_ERR(ask(&report, NULL), DENIED);
    CHECK_ERR(ask(&report, &certs), DENIED);
    kernel.fw_error = 0x05;
    CHECK_ERR(ask(&report, NULL), SYSTEM);
    kernel.fw_error = 0;
    kernel.status = 0x16;
    CHECK_ERR(ask(&report, NULL), DENIED);
    kernel.status = 1;
    CHECK_ERR(ask(&report, NULL), SYSTEM);
    kernel.status = 0;
    kernel.size = SNP_REPORT_LEN + 1;
    CHECK_ERR(ask(&report, &certs), MALFORMED);
    CHECK(report.len == 0);
}

static void a_device_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct snp_guest none = { .path = "/nonexistent/sev-guest" };
    BUF_AUTO report = BUF(SNP_REPORT_LEN);
    uint8_t key[SNP_GUEST_KEY_LEN];
    struct snp_key_ask k = { 0 };
    CHECK(!snp_guest_present(&none) && snp_guest_present(&guest));
    CHECK_ERR(snp_guest_report(&none, data, 0, &report, NULL), UNAVAILABLE);
    CHECK_ERR(snp_guest_derive_key(&none, &k, key), UNAVAILABLE);
}

static void a_key_is_derived_from_what_is_asked(void **state)
{
    (void)state;
    uint8_t key[SNP_GUEST_KEY_LEN] = { 0 };
    struct snp_key_ask k = { .fields = SNP_KEY_WITH_MEASUREMENT | SNP_KEY_WITH_TCB,
                             .vmpl = 1,
                             .guest_svn = 4,
                             .tcb = UINT64_C(0xdb18000000000004) };
    CHECK_OK(snp_guest_derive_key(&guest, &k, key));
    CHECK(key[0] == 0x4b && key[31] == 0x4b);
    CHECK(kernel.seen_key.guest_field_select == 0x28 && kernel.seen_key.vmpl == 1);
    CHECK(kernel.seen_key.guest_svn == 4 && kernel.seen_key.tcb_version == k.tcb);
    CHECK(kernel.seen_key.root_key_select == 0 && kernel.seen_key.rsvd == 0);
    memset(key, 0, sizeof key);
    kernel.status = 0x27;
    CHECK_ERR(snp_guest_derive_key(&guest, &k, key), DENIED);
    kernel.status = 0x16;
    CHECK_ERR(snp_guest_derive_key(&guest, &k, key), DENIED);
    kernel.status = 9;
    CHECK_ERR(snp_guest_derive_key(&guest, &k, key), SYSTEM);
    CHECK(key[0] == 0);
}

static err ask_once(void *arg)
{
    (void)arg;
    BUF_AUTO report = BUF(SNP_REPORT_LEN);
    BUF_AUTO certs = BUF(SNP_GUEST_CERTS_MAX);
    return snp_guest_report(&guest, data, 0, &report, &certs);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    kernel.needs = SNP_GUEST_CERTS_MAX;
    law_every_allocation_fails_once(ask_once, NULL);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_numbers_are_those_of_the_kernel),
        TEST(a_report_is_asked_for_with_data_and_vmpl),
        TEST(certificates_come_along),
        TEST(a_host_gets_the_room_it_asks_for_up_to_the_limit),
        TEST(a_host_without_certificates_still_lets_the_report_pass),
        TEST(a_busy_host_is_asked_again_but_not_for_ever),
        TEST(what_the_firmware_refuses_is_refused),
        TEST(a_device_that_is_not_there_is_told),
        TEST(a_key_is_derived_from_what_is_asked),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
