/*
 * base/dns.h - what name servers say of a name: its addresses (A and AAAA), or the services behind it
 * (SRV, RFC 2782) with theirs, and for how long that is good.
 *
 * The C library's resolver asks, as /etc/resolv.conf says, over UDP and then TCP, off the loop's thread.
 * /etc/hosts is not looked at. Only what stands in a message is read here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct loop;

enum {
    DNS_NAME_MAX = 253,
    DNS_RECORDS_MAX = 256,   /* of one answer; more are left out */
    DNS_TARGETS_MAX = 64,    /* whose addresses are asked for; likewise */
    DNS_ADDRESS_MAX = 45,    /* in text */
    DNS_MESSAGE_MAX = 65535, /* bytes */
    DNS_TTL_MAX = 7 * 86400  /* seconds; anything above is taken for this (RFC 8767 section 4) */
};

enum dns_type { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33 };

/* Zero fields are those that were not asked for. */
struct dns_record {
    char address[DNS_ADDRESS_MAX + 1];
    char target[DNS_NAME_MAX + 1]; /* of the service; letters, digits, '-', '_' and '.' */
    uint16_t port, priority, weight;
};

struct dns_answer {
    uint32_t ttl_s; /* the smallest of all */
    size_t n;
    struct dns_record at[DNS_RECORDS_MAX];
};

/* Appends the records of that type in the answer section of a message; aliases in front of them only
 * count for the time. The root as a target, which means that there is no such service, gives none.
 * MALFORMED. */
err dns_read(bytes message, enum dns_type type, struct dns_answer *out);

struct dns_question;

enum dns_wanted { DNS_ADDRESSES = 0, DNS_SERVICES };

/* Borrowed for the call of dns_ask(). */
struct dns_ask {
    enum dns_wanted wanted;
    const char *name;
    const char *server; /* an address of IPv4 or IPv6; NULL: those of /etc/resolv.conf */
    uint16_t server_port;
};

/* OK with at least one address; for services, each address of each target is a record. NOT_FOUND: name
 * servers say that there is nothing. UNAVAILABLE: they did not answer, or could not. MALFORMED. The
 * answer is borrowed for the call, NULL with an error. */
typedef void dns_fn(void *owner, err e, const struct dns_answer *answer);

/* done is called once, never from inside this call; *out is valid until then. */
err dns_ask(struct dns_question **out, struct loop *l, const struct dns_ask *ask, dns_fn *done,
            void *owner);
/* done is not called any more. NULL is allowed. */
void dns_cancel(struct dns_question *q);
