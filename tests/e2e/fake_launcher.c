/*
 * fake-launcher SOCKET ROOT IMAGE - stands in for the launcher of Google's Confidential Space: answers
 * POST /v1/token on a unix socket with tokens of a root of its own, whose SHA-256 in hex it writes to
 * the file ROOT first. IMAGE is the digest of the container's image, in hex. Runs until it is ended.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/gcp_maker.h"

enum { REQUEST_MAX = 8192, WAITING = 16 };

static void read_request(int fd, struct buf *request)
{
    uint8_t part[512];
    ssize_t n = 1;
    while (n > 0 && (request->len == 0 || request->at[request->len - 1] != '}')) {
        n = recv(fd, part, sizeof part, 0);
        if (n > 0)
            CHECK_OK(buf_add(request, bytes_of(part, (size_t)n)));
    }
}

static void put_answer(struct gcp_maker *m, bytes request, struct buf *answer)
{
    struct json *body = NULL;
    bytes nonce = { 0 };
    BUF_AUTO text = BUF(256);
    size_t head = text_find(request, BYTES_LIT("\r\n\r\n"));
    if (head < request.len)
        (void)json_read(&body, bytes_slice(request, head + 4, request.len), 4);
    if (!json_text(json_at(json_get(body, "nonces"), 0), &nonce) ||
        !err_is_ok(buf_add(&text, nonce))) {
        CHECK_OK(buf_add_str(answer, "HTTP/1.0 400 Bad Request\r\n\r\nno nonce"));
    } else {
        m->at_s = clock_wall_s();
        gcp_maker_make(m, buf_str(&text));
        CHECK_OK(buf_add_str(answer, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"));
        CHECK_OK(buf_add(answer, buf_view(&m->token)));
    }
    json_free(body);
}

static void serve(struct gcp_maker *m, int listener)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        BUF_AUTO request = BUF(REQUEST_MAX);
        BUF_AUTO answer = BUF(128 * 1024);
        CHECK(fd >= 0);
        read_request(fd, &request);
        put_answer(m, buf_view(&request), &answer);
        bytes rest = buf_view(&answer);
        for (ssize_t n = 1; rest.len > 0 && n > 0; rest = bytes_slice(rest, (size_t)n, rest.len))
            n = send(fd, rest.at, rest.len, MSG_NOSIGNAL);
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    struct gcp_maker m;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    BUF_AUTO root = BUF(256);
    if (argc != 4 || crypto_init().code != ERR_OK) {
        (void)fprintf(stderr, "usage: fake-launcher SOCKET ROOT IMAGE\n");
        return 1;
    }
    gcp_maker_open(&m, clock_wall_s());
    m.image = argv[3];
    CHECK_OK(text_hex_encode(&root, BYTES_ARRAY(m.pin.sha256)));
    CHECK_OK(file_write(argv[2], buf_view(&root)));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", argv[1]);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(listen(listener, WAITING) == 0);
    serve(&m, listener);
    return 0;
}
