#include "crypto/pem.h"

#include "base/text.h"

/* How a block begins and ends. */
struct label {
    const char *begin;
    const char *end;
};

static const struct label certificate = { "-----BEGIN CERTIFICATE-----",
                                          "-----END CERTIFICATE-----" };
static const struct label list = { "-----BEGIN X509 CRL-----", "-----END X509 CRL-----" };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static bytes skip_blanks(bytes in)
{
    size_t n = 0;
    while (n < in.len && is_blank(in.at[n]))
        n++;
    return bytes_slice(in, n, in.len);
}

bool pem_is_text(bytes in)
{
    return bytes_starts(skip_blanks(in), bytes_str(certificate.begin));
}

/* Base64 in lines, without its line ends. */
static err join_lines(struct buf *out, bytes lines)
{
    size_t from = 0;
    for (size_t i = 0; i <= lines.len; i++) {
        if (i < lines.len && lines.at[i] != '\r' && lines.at[i] != '\n')
            continue;
        TRY(buf_add(out, bytes_slice(lines, from, i - from)));
        from = i + 1;
    }
    return OK;
}

/* Cuts the block that *in begins with off it. */
static err take_block(bytes *in, const struct label *label, bytes *body)
{
    bytes last = bytes_str(label->end);
    ENSURE(bytes_starts(*in, bytes_str(label->begin)), MALFORMED);
    bytes rest = bytes_slice(*in, strlen(label->begin), in->len);
    size_t end = text_find(rest, last);
    ENSURE(end < rest.len, TRUNCATED);
    *body = bytes_slice(rest, 0, end);
    *in = skip_blanks(bytes_slice(rest, end + last.len, rest.len));
    return OK;
}

/* The room was reserved for all blocks together, so that earlier views stay valid. */
static err add_block(struct pem_certs *p, bytes body)
{
    BUF_AUTO text = BUF(PEM_TEXT_MAX);
    ENSURE(p->n < PEM_CERTS_MAX, LIMIT);
    TRY(join_lines(&text, body));
    size_t before = p->der.len;
    TRY(text_base64_decode(&p->der, buf_view(&text)));
    ENSURE(p->der.len > before, MALFORMED);
    p->certs[p->n++] = bytes_slice(buf_view(&p->der), before, p->der.len - before);
    return OK;
}

static err read_blocks(struct pem_certs *p, bytes text)
{
    uint8_t *room = NULL;
    bytes body;
    TRY(buf_reserve(&p->der, text.len, &room));
    for (bytes in = skip_blanks(text); in.len > 0;) {
        TRY(take_block(&in, &certificate, &body));
        TRY(add_block(p, body));
    }
    return OK;
}

err pem_read_certs(struct pem_certs *out, bytes text)
{
    *out = (struct pem_certs){ .der = BUF(PEM_TEXT_MAX) };
    ENSURE(text.len <= PEM_TEXT_MAX, LIMIT);
    ENSURE(pem_is_text(text), MALFORMED);
    err e = read_blocks(out, text);
    if (!err_is_ok(e))
        pem_clear(out);
    return e;
}

void pem_clear(struct pem_certs *p)
{
    buf_clear(&p->der);
    *p = (struct pem_certs){ 0 };
}

bool pem_is_crl(bytes in)
{
    return bytes_starts(skip_blanks(in), bytes_str(list.begin));
}

err pem_read_crl(struct buf *out, bytes text)
{
    BUF_AUTO joined = BUF(PEM_TEXT_MAX);
    bytes in = skip_blanks(text), body;
    ENSURE(text.len <= PEM_TEXT_MAX, LIMIT);
    TRY(take_block(&in, &list, &body));
    ENSURE(in.len == 0, MALFORMED);
    TRY(join_lines(&joined, body));
    ENSURE(joined.len > 0, MALFORMED);
    return text_base64_decode(out, buf_view(&joined));
}
