#include "cli/ask.h"

#include "base/sock.h"
#include "base/text.h"
#include "cli/fetch.h"

/* The address as the servers write it becomes what libcurl wants. */
static err write_url(const struct sock_addr *a, struct buf *url)
{
    bool v6 = strchr(a->host, ':') != NULL;
    if (a->kind == SOCK_KIND_UNIX)
        return buf_add_str(url, "http://worker/attestation");
    ENSURE(a->kind == SOCK_KIND_TCP, UNSUPPORTED);
    return buf_addf(url, "%s://%s%s%s:%u/attestation", a->tls ? "https" : "http", v6 ? "[" : "",
                    a->host, v6 ? "]" : "", a->port);
}

enum cli_exit ask_bundle(const char *address, const char *ca, bytes nonce, struct buf *bundle)
{
    struct sock_addr addr;
    BUF_AUTO url = BUF(1024);
    BUF_AUTO body = BUF(256);
    BUF_AUTO message = BUF(1024);
    long status = 0;
    if (sock_addr_read(bytes_str(address), &addr).code != ERR_OK)
        return cli_complain("%s is not an address; write HOST:PORT, tls://HOST:PORT or unix:PATH",
                            address);
    if (addr.kind == SOCK_KIND_VSOCK)
        return cli_complain(
            "%s: only relays and gateways connect to vsock; name the listen_h2 of "
            "a relay in front of that worker",
            address);
    err e = write_url(&addr, &url);
    if (e.code == ERR_OK)
        e = buf_add_str(&body, "{\"nonce\":\"");
    if (e.code == ERR_OK)
        e = text_base64url_encode(&body, nonce);
    if (e.code == ERR_OK)
        e = buf_add_str(&body, "\"}");
    const struct fetch f = { .url = buf_str(&url),
                             .unix_path = addr.kind == SOCK_KIND_UNIX ? addr.path : NULL,
                             .ca_path = ca,
                             .http2 = !addr.tls,
                             .body = buf_view(&body),
                             .timeout_s = 30,
                             .out = bundle };
    if (e.code == ERR_OK)
        e = fetch_run(&f, &status, &message);
    if (e.code != ERR_OK)
        return cli_complain(
            "%s: %s; %s", address, message.len > 0 ? buf_str(&message) : err_text(e),
            addr.tls ? "does a worker listen there, under a name that --ca vouches for?"
                     : "does a worker listen there, without TLS?");
    return status == 200 ? CLI_OK : cli_complain("%s answered %ld", address, status);
}
