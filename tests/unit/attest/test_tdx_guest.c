#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/tdx_guest.h"
#include "crypto/init.h"
#include "tests/unit/attest/tdx_scene.h"

/* The TDREPORT that the fake ioctl gives, and the answer that the fake service has ready. */
static struct buf tdreport;
static struct buf answer;
static struct buf asked; /* what the service was sent */
static uint8_t wanted[64];
static int service = -1;
static uint32_t asked_port;
static int control_error;

static int fake_control(int fd, unsigned long code, void *argument)
{
    (void)fd;
    CHECK(code == 0xC4405401UL);
    CHECK_BYTES(bytes_of(argument, 64), BYTES_ARRAY(wanted));
    if (control_error != 0) {
        errno = control_error;
        return -1;
    }
    memcpy((uint8_t *)argument + 64, tdreport.at, TDX_REPORT_LEN);
    return 0;
}

/* The answer lies in the socket before it is asked for. */
static int fake_connect(uint32_t port)
{
    int ends[2];
    asked_port = port;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(write(ends[1], answer.at, answer.len) == (ssize_t)answer.len);
    CHECK(shutdown(ends[1], SHUT_WR) == 0);
    service = ends[1];
    return ends[0];
}

static int no_connect(uint32_t port)
{
    (void)port;
    errno = ECONNREFUSED;
    return -1;
}

static void collect_request(void)
{
    uint8_t part[2048];
    asked = BUF(8192);
    ssize_t n = read(service, part, sizeof part);
    CHECK(n > 0);
    CHECK_OK(buf_add(&asked, bytes_of(part, (size_t)n)));
    (void)close(service);
}

static struct tdx_guest guest(void)
{
    return (struct tdx_guest){
        .device = "/dev/null", .control = fake_control, .port = 4050, .connect = fake_connect
    };
}

static err put_le32(struct buf *out, uint32_t v)
{
    for (unsigned i = 0; i < 32; i += 8)
        TRY(buf_add_u8(out, (uint8_t)(v >> i)));
    return OK;
}

/* As QGS writes it: version 1.0, type 1. */
static void set_answer(uint32_t error, bytes quote, uint32_t stated_len)
{
    uint32_t size = 24 + (uint32_t)quote.len;
    buf_clear(&answer);
    answer = BUF(64 * 1024);
    CHECK_OK(buf_add_u32be(&answer, size));
    CHECK_OK(put_le32(&answer, 1));
    CHECK_OK(put_le32(&answer, 1));
    CHECK_OK(put_le32(&answer, size));
    CHECK_OK(put_le32(&answer, error));
    CHECK_OK(put_le32(&answer, 0));
    CHECK_OK(put_le32(&answer, stated_len));
    CHECK_OK(buf_add(&answer, quote));
}

/* A genuine TDREPORT. False without vectors. */
static bool set_up(void)
{
    if (law_vectors() == NULL)
        return false;
    buf_clear(&tdreport);
    tdx_scene_read(&tdreport, "tdreport/tdreport_live.bin");
    memcpy(wanted, tdreport.at + 128, sizeof wanted);
    control_error = 0;
    return true;
}

static void a_genuine_tdreport_is_taken_apart(void **state)
{
    (void)state;
    struct tdx_report r;
    if (!set_up())
        skip();
    CHECK_OK(tdx_report_read(buf_view(&tdreport), &r));
    CHECK(r.mrtd.len == 48 && r.rtmr[3].at == tdreport.at + 512 + 208 + 3 * 48);
    CHECK_ERR(tdx_report_read(bytes_slice(buf_view(&tdreport), 0, 1023), &r), MALFORMED);
    tdreport.at[0] = 0;
    CHECK_ERR(tdx_report_read(buf_view(&tdreport), &r), MALFORMED);
}

static void the_service_is_asked_with_the_tdreport_and_its_quote_is_given(void **state)
{
    (void)state;
    struct tdx_guest g = guest();
    BUF_AUTO out = BUF(TDX_QUOTE_MAX);
    if (!set_up())
        skip();
    set_answer(0, BYTES_LIT("the quote"), 9);
    CHECK_OK(tdx_guest_quote(&g, wanted, &out));
    collect_request();
    CHECK_BYTES(buf_view(&out), BYTES_LIT("the quote"));
    CHECK(asked_port == 4050 && asked.len == 4 + 24 + TDX_REPORT_LEN);
    static const uint8_t head[] = { 0, 0, 4, 24, 1, 0, 0, 0, 0, 0, 0, 0, 24, 4,
                                    0, 0, 0, 0,  0, 0, 0, 4, 0, 0, 0, 0, 0,  0 };
    CHECK_BYTES(bytes_slice(buf_view(&asked), 0, sizeof head), BYTES_ARRAY(head));
    CHECK_BYTES(bytes_slice(buf_view(&asked), sizeof head, asked.len), buf_view(&tdreport));
    buf_clear(&asked);
}

static void an_error_of_the_service_is_no_quote(void **state)
{
    (void)state;
    struct tdx_guest g = guest();
    BUF_AUTO out = BUF(TDX_QUOTE_MAX);
    if (!set_up())
        skip();
    set_answer(0x12001, BYTES_LIT(""), 0);
    CHECK_ERR(tdx_guest_quote(&g, wanted, &out), UNAVAILABLE);
    (void)close(service);
    CHECK(out.len == 0);
}

static void every_prefix_of_an_answer_is_refused(void **state)
{
    (void)state;
    struct tdx_guest g = guest();
    if (!set_up())
        skip();
    set_answer(0, BYTES_LIT("the quote"), 9);
    for (size_t n = answer.len; n-- > 0;) {
        BUF_AUTO out = BUF(TDX_QUOTE_MAX);
        buf_truncate(&answer, n);
        CHECK_ERR(tdx_guest_quote(&g, wanted, &out), CLOSED);
        (void)close(service);
    }
}

static void lengths_of_an_answer_have_to_nest(void **state)
{
    (void)state;
    bytes quote;
    set_answer(0, BYTES_LIT("the quote"), 9);
    bytes message = bytes_slice(buf_view(&answer), 4, answer.len);
    CHECK_OK(tdx_qgs_response(message, &quote));
    CHECK_ERR(tdx_qgs_response(bytes_slice(message, 0, message.len - 1), &quote), MALFORMED);
    set_answer(0, BYTES_LIT("the quote"), 10);
    CHECK_ERR(tdx_qgs_response(bytes_slice(buf_view(&answer), 4, answer.len), &quote), MALFORMED);
    set_answer(0, BYTES_LIT(""), 0);
    CHECK_ERR(tdx_qgs_response(bytes_slice(buf_view(&answer), 4, answer.len), &quote), MALFORMED);
    set_answer(0, BYTES_LIT("the quote"), 9);
    answer.at[4] = 2; /* another version */
    CHECK_ERR(tdx_qgs_response(bytes_slice(buf_view(&answer), 4, answer.len), &quote), MALFORMED);
}

static void an_answer_over_the_limit_is_refused_before_it_is_read(void **state)
{
    (void)state;
    struct tdx_guest g = guest();
    BUF_AUTO out = BUF(TDX_QUOTE_MAX);
    if (!set_up())
        skip();
    buf_truncate(&answer, 0);
    CHECK_OK(buf_add_u32be(&answer, TDX_QGS_MESSAGE_MAX));
    CHECK_ERR(tdx_guest_quote(&g, wanted, &out), CLOSED);
    (void)close(service);
    buf_truncate(&answer, 0);
    CHECK_OK(buf_add_u32be(&answer, TDX_QGS_MESSAGE_MAX + 1));
    CHECK_ERR(tdx_guest_quote(&g, wanted, &out), LIMIT);
    (void)close(service);
}

static void a_tdreport_for_other_data_is_refused(void **state)
{
    (void)state;
    struct tdx_guest g = guest();
    BUF_AUTO out = BUF(TDX_REPORT_LEN);
    if (!set_up())
        skip();
    CHECK_OK(tdx_guest_report(&g, wanted, &out));
    wanted[5] ^= 1;
    CHECK_ERR(tdx_guest_report(&g, wanted, &out), MALFORMED);
}

static void without_device_ioctl_or_service_there_is_no_quote(void **state)
{
    (void)state;
    struct tdx_guest g = guest();
    BUF_AUTO out = BUF(TDX_QUOTE_MAX);
    if (!set_up())
        skip();
    g.connect = no_connect;
    CHECK_ERR(tdx_guest_quote(&g, wanted, &out), UNAVAILABLE);
    control_error = EIO;
    CHECK_ERR(tdx_guest_quote(&g, wanted, &out), SYSTEM);
    g.device = "/nowhere/tdx_guest";
    CHECK_ERR(tdx_guest_quote(&g, wanted, &out), UNAVAILABLE);
    CHECK(!tdx_guest_present(&g));
}

static void the_port_is_read_from_the_settings(void **state)
{
    (void)state;
    CHECK(tdx_qgs_port(BYTES_LIT("port=4050\n")) == 4050);
    CHECK(tdx_qgs_port(BYTES_LIT("# port=1\n  port = 4051 # here\nport=4052")) == 4051);
    CHECK(tdx_qgs_port(BYTES_LIT("port=65535")) == 65535);
    CHECK(tdx_qgs_port(BYTES_LIT("port=65536")) == 0);
    CHECK(tdx_qgs_port(BYTES_LIT("port=\nports=3\nport 4\n")) == 0);
    CHECK(tdx_qgs_port(BYTES_LIT("")) == 0);
}

static int clear_all(void **state)
{
    (void)state;
    buf_clear(&tdreport);
    buf_clear(&answer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_genuine_tdreport_is_taken_apart),
        cmocka_unit_test(the_service_is_asked_with_the_tdreport_and_its_quote_is_given),
        cmocka_unit_test(an_error_of_the_service_is_no_quote),
        cmocka_unit_test(every_prefix_of_an_answer_is_refused),
        cmocka_unit_test(lengths_of_an_answer_have_to_nest),
        cmocka_unit_test(an_answer_over_the_limit_is_refused_before_it_is_read),
        cmocka_unit_test(a_tdreport_for_other_data_is_refused),
        cmocka_unit_test(without_device_ioctl_or_service_there_is_no_quote),
        cmocka_unit_test(the_port_is_read_from_the_settings),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, clear_all);
}
