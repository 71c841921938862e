#include "gateway/sources.h"

#include <string.h>

#include "base/text.h"

_Static_assert((int)SOCK_HOST_MAX == (int)DNS_NAME_MAX, "a name is a host");

static bool cut(bytes *text, bytes prefix)
{
    if (!bytes_starts(*text, prefix))
        return false;
    *text = bytes_slice(*text, prefix.len, text->len);
    return true;
}

/* HOST:PORT with a name for a host. */
static err read_name(bytes text, bool tls, struct source *out)
{
    struct sock_addr *addr = &out->wish.addr;
    TRY(sock_addr_read(text, addr));
    ENSURE(addr->kind == SOCK_KIND_TCP && !addr->tls && addr->port > 0, CONFIG);
    ENSURE(strchr(addr->host, ':') == NULL && strcmp(addr->host, "*") != 0, CONFIG);
    memcpy(out->name, addr->host, sizeof out->name);
    addr->tls = tls;
    out->kind = SOURCE_NAME;
    return OK;
}

static err read_service(bytes text, bool tls, struct source *out)
{
    BUF_AUTO with_port = BUF(DNS_NAME_MAX + 3);
    ENSURE(buf_add(&with_port, text).code == ERR_OK, CONFIG);
    ENSURE(buf_add_str(&with_port, ":1").code == ERR_OK, CONFIG);
    TRY(read_name(buf_view(&with_port), tls, out));
    out->kind = SOURCE_SERVICE;
    return OK;
}

static err read_source(const char *given, struct source *out)
{
    bytes text = bytes_str(given);
    if (cut(&text, BYTES_LIT("dns://")))
        return read_name(text, false, out);
    if (cut(&text, BYTES_LIT("dns+tls://")))
        return read_name(text, true, out);
    if (cut(&text, BYTES_LIT("srv://")))
        return read_service(text, false, out);
    if (cut(&text, BYTES_LIT("srv+tls://")))
        return read_service(text, true, out);
    if (!cut(&text, BYTES_LIT("file://")))
        return worker_wish_read(text, &out->wish);
    ENSURE(text.len > 1 && text.at[0] == '/', CONFIG);
    out->kind = SOURCE_FILE;
    out->path = given + strlen("file://");
    return OK;
}

err source_read(const char *text, struct source *out)
{
    *out = (struct source){ 0 };
    return read_source(text, out);
}

bool source_may_use_tls(const struct source *s)
{
    return s->kind == SOURCE_FILE || s->wish.addr.tls;
}

/* ---- what they say ---- */

static bytes without_comment(bytes line)
{
    for (size_t i = 0; i < line.len; i++) {
        bool begins = i == 0 || line.at[i - 1] == ' ' || line.at[i - 1] == '\t';
        if (line.at[i] == '#' && begins)
            return text_trim(bytes_slice(line, 0, i));
    }
    return line;
}

static err read_line(bytes line, struct source_wishes *out)
{
    bytes address = without_comment(line);
    if (address.len == 0)
        return OK;
    ENSURE(out->n < SOURCE_WISHES_MAX, CONFIG);
    TRY(worker_wish_read(address, &out->at[out->n]));
    out->n++;
    return OK;
}

err source_read_file(bytes file, struct source_wishes *out, size_t *line)
{
    out->n = 0;
    *line = 0;
    while (file.len > 0) {
        size_t end = text_find(file, BYTES_LIT("\n"));
        ++*line;
        TRY(read_line(text_first_line(file), out));
        file = bytes_slice(file, end < file.len ? end + 1 : end, file.len);
    }
    return OK;
}

void source_read_answer(const struct source *s, const struct dns_answer *answer,
                        struct source_wishes *out)
{
    out->n = 0;
    for (size_t i = 0; i < answer->n && i < SOURCE_WISHES_MAX; i++) {
        const struct dns_record *r = &answer->at[i];
        bool is_service = s->kind == SOURCE_SERVICE;
        struct worker_wish *w = &out->at[out->n];
        if (is_service && r->port == 0)
            continue;
        *w = s->wish;
        memcpy(w->addr.host, r->address, sizeof r->address);
        memcpy(w->tls_name, is_service ? r->target : s->name, sizeof w->tls_name);
        w->addr.port = is_service ? r->port : s->wish.addr.port;
        w->priority = r->priority;
        w->weight = is_service ? r->weight : 1;
        out->n++;
    }
}
