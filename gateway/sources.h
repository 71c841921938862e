/*
 * gateway/sources.h - where addresses of workers come from, as the setting `workers` names it, and what
 * a source says. Pure.
 *
 *     HOST:PORT, tls://HOST:PORT, unix:PATH, vsock:CID:PORT    one worker, base/sock.h
 *     dns://NAME:PORT, dns+tls://NAME:PORT                     one at each address of the name
 *     srv://NAME, srv+tls://NAME                               one at each address of each service there
 *     file:///PATH                                             one per line of the first kind
 */
#pragma once

#include "base/dns.h"
#include "gateway/workers.h"

enum source_kind { SOURCE_ADDRESS = 0, SOURCE_NAME, SOURCE_SERVICE, SOURCE_FILE };

struct source {
    enum source_kind kind;
    struct worker_wish wish;     /* of an address; of a name its port and whether it is for TLS */
    char name[DNS_NAME_MAX + 1]; /* of names and services */
    const char *path;            /* of a file; borrowed from the text */
};

/* ERR_CONFIG for anything that is none of these forms. */
err source_read(const char *text, struct source *out);

/* Whether a worker of it may want TLS. */
bool source_may_use_tls(const struct source *s);

enum { SOURCE_WISHES_MAX = DNS_RECORDS_MAX, SOURCE_FILE_MAX = 64 * 1024 };

struct source_wishes {
    size_t n;
    struct worker_wish at[SOURCE_WISHES_MAX];
};

/* One address per line. What follows a '#' at the beginning or behind a blank is a comment. ERR_CONFIG
 * with the number of the line that is no address, or one too many. */
err source_read_file(bytes file, struct source_wishes *out, size_t *line);

/* Replaces *out by what name servers said. */
void source_read_answer(const struct source *s, const struct dns_answer *answer,
                        struct source_wishes *out);
