/* A first byte says which records are wanted, the rest is a message. What is read fits, holds addresses and
 * names that are some, and is read the same a second time. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dns_answer first, again;

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static bool is_text_of(const struct dns_record *r, enum dns_type type)
{
    struct in6_addr room;
    if (type != DNS_SRV)
        return inet_pton(type == DNS_A ? AF_INET : AF_INET6, r->address, &room) == 1 &&
               r->target[0] == '\0';
    size_t len = strlen(r->target);
    return len > 0 && len <= DNS_NAME_MAX && strpbrk(r->target, " /:@\\\"'\n") == NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_A, DNS_AAAA, DNS_SRV };
    if (size == 0)
        return 0;
    enum dns_type type = types[data[0] % 3];
    bytes message = bytes_of(data + 1, size - 1);
    memset(&first, 0, sizeof first);
    memset(&again, 0, sizeof again);
    err e = dns_read(message, type, &first);
    demand(first.n <= DNS_RECORDS_MAX && first.ttl_s <= DNS_TTL_MAX);
    for (size_t i = 0; i < first.n; i++)
        demand(is_text_of(&first.at[i], type));
    demand(dns_read(message, type, &again).code == e.code);
    demand(memcmp(&first, &again, sizeof first) == 0);
    return 0;
}
