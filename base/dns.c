#include "base/dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"

enum { ASK_S = 2, ASK_TIMES = 2, SRV_HEAD_LEN = 6 };

_Static_assert((int)DNS_A == (int)ns_t_a && (int)DNS_AAAA == (int)ns_t_aaaa &&
                   (int)DNS_SRV == (int)ns_t_srv,
               "types");
_Static_assert(DNS_ADDRESS_MAX + 1 >= INET6_ADDRSTRLEN, "room for any address");

/* ---- reading ---- */

static err read_address(const ns_rr *rr, struct dns_record *out)
{
    int family = ns_rr_type(*rr) == ns_t_a ? AF_INET : AF_INET6;
    size_t len = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
    ENSURE(ns_rr_rdlen(*rr) == len, MALFORMED);
    ENSURE(inet_ntop(family, ns_rr_rdata(*rr), out->address, sizeof out->address) != NULL,
           MALFORMED);
    return OK;
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static err read_target(const ns_msg *m, const ns_rr *rr, struct dns_record *out)
{
    char name[NS_MAXDNAME];
    const uint8_t *at = ns_rr_rdata(*rr) + SRV_HEAD_LEN;
    int used = ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), at, name, sizeof name);
    ENSURE(used > 0 && used == (int)ns_rr_rdlen(*rr) - SRV_HEAD_LEN, MALFORMED);
    size_t len = strlen(name);
    ENSURE(len <= DNS_NAME_MAX, MALFORMED);
    for (size_t i = 0; i < len; i++)
        ENSURE(is_host_byte(name[i]), MALFORMED);
    memcpy(out->target, name, len + 1);
    return OK;
}

static err read_service(const ns_msg *m, const ns_rr *rr, struct dns_record *out)
{
    ENSURE(ns_rr_rdlen(*rr) > SRV_HEAD_LEN, MALFORMED);
    const uint8_t *at = ns_rr_rdata(*rr);
    out->priority = (uint16_t)ns_get16(at);
    out->weight = (uint16_t)ns_get16(at + 2);
    out->port = (uint16_t)ns_get16(at + 4);
    return read_target(m, rr, out);
}

/* RFC 2782: a target that is the root says that there is no such service. */
static bool is_nothing(const struct dns_record *r, enum dns_type type)
{
    return type == DNS_SRV && (r->target[0] == '\0' || strcmp(r->target, ".") == 0);
}

static err take(const ns_msg *m, const ns_rr *rr, enum dns_type type, struct dns_answer *out)
{
    struct dns_record r = { 0 };
    if (ns_rr_type(*rr) != (ns_type)type || ns_rr_class(*rr) != ns_c_in)
        return OK;
    TRY(type == DNS_SRV ? read_service(m, rr, &r) : read_address(rr, &r));
    if (!is_nothing(&r, type) && out->n < DNS_RECORDS_MAX)
        out->at[out->n++] = r;
    return OK;
}

static void note_ttl(struct dns_answer *out, uint32_t ttl_s, bool first)
{
    uint32_t bounded = ttl_s < DNS_TTL_MAX ? ttl_s : DNS_TTL_MAX;
    if (first || bounded < out->ttl_s)
        out->ttl_s = bounded;
}

err dns_read(bytes message, enum dns_type type, struct dns_answer *out)
{
    ns_msg m;
    ns_rr rr;
    bool first = out->n == 0;
    ENSURE(message.len <= DNS_MESSAGE_MAX, MALFORMED);
    ENSURE(ns_initparse(message.at, (int)message.len, &m) == 0, MALFORMED);
    int records = ns_msg_count(m, ns_s_an);
    for (int i = 0; i < records; i++) {
        ENSURE(ns_parserr(&m, ns_s_an, i, &rr) == 0, MALFORMED);
        note_ttl(out, ns_rr_ttl(rr), first && i == 0);
        TRY(take(&m, &rr, type, out));
    }
    return OK;
}

/* ---- asking ---- */

struct dns_question {
    struct loop_job job;
    dns_fn *done;
    void *owner;
    atomic_bool cancelled;
    enum dns_wanted wanted;
    char name[DNS_NAME_MAX + 1];
    struct sockaddr_in server; /* one of the two has a family; none: those of /etc/resolv.conf */
    struct sockaddr_in6 server6;
    struct dns_answer targets; /* services, before their addresses */
    struct dns_answer answer;
    err outcome;
    uint8_t message[DNS_MESSAGE_MAX];
};

static err outcome_of(int herr)
{
    ENSURE(herr != HOST_NOT_FOUND && herr != NO_DATA, NOT_FOUND);
    FAIL(UNAVAILABLE);
}

/* OK may add nothing. NOT_FOUND, UNAVAILABLE, MALFORMED. The search list is for what people wrote, not for
 * what stands in records. */
static err ask_for(struct dns_question *q, res_state resolver, const char *name, enum dns_type type,
                   struct dns_answer *out)
{
    ENSURE(!atomic_load(&q->cancelled), CANCELLED);
    int n = (name == q->name ? res_nsearch : res_nquery)(resolver, name, ns_c_in, (int)type,
                                                         q->message, sizeof q->message);
    if (n < 0)
        return outcome_of(resolver->res_h_errno);
    size_t len = (size_t)n < sizeof q->message ? (size_t)n : sizeof q->message;
    return dns_read(bytes_of(q->message, len), type, out);
}

/* One family is enough. */
static err ask_addresses(struct dns_question *q, res_state resolver, const char *name,
                         struct dns_answer *out)
{
    err four = ask_for(q, resolver, name, DNS_A, out);
    err six = ask_for(q, resolver, name, DNS_AAAA, out);
    if (out->n > 0)
        return OK;
    TRY(four.code == ERR_NOT_FOUND ? OK : four);
    TRY(six.code == ERR_NOT_FOUND ? OK : six);
    FAIL(NOT_FOUND);
}

static void add_service(struct dns_question *q, const struct dns_record *service,
                        const struct dns_answer *addresses)
{
    struct dns_answer *out = &q->answer;
    for (size_t i = 0; i < addresses->n && out->n < DNS_RECORDS_MAX; i++) {
        out->at[out->n] = *service;
        memcpy(out->at[out->n].address, addresses->at[i].address, DNS_ADDRESS_MAX + 1);
        out->n++;
    }
}

/* A target whose addresses cannot be asked for costs the whole answer: half of one would take workers
 * away that are there. */
static err ask_services(struct dns_question *q, res_state resolver)
{
    struct dns_answer *addresses;
    err e = OK;
    TRY(ask_for(q, resolver, q->name, DNS_SRV, &q->targets));
    TRY(mem_new(&addresses));
    q->answer.ttl_s = q->targets.ttl_s;
    for (size_t i = 0; i < q->targets.n && i < DNS_TARGETS_MAX && e.code == ERR_OK; i++) {
        addresses->n = 0;
        e = ask_addresses(q, resolver, q->targets.at[i].target, addresses);
        if (e.code == ERR_OK) {
            note_ttl(&q->answer, addresses->ttl_s, false);
            add_service(q, &q->targets.at[i], addresses);
        }
        e = e.code == ERR_NOT_FOUND ? OK : e;
    }
    mem_free(addresses);
    TRY(e);
    ENSURE(q->answer.n > 0, NOT_FOUND);
    return OK;
}

static err ask_wanted(struct dns_question *q, res_state resolver)
{
    if (q->wanted == DNS_SERVICES)
        return ask_services(q, resolver);
    return ask_addresses(q, resolver, q->name, &q->answer);
}

/* The list of servers has room for IPv4; one of IPv6 stands beside it, where glibc looks when the list's
 * family is 0. Ours is taken away again before the resolver frees what it has put there itself. */
static err ask_with(struct dns_question *q, res_state resolver)
{
    int servers = resolver->nscount;
    struct sockaddr_in6 *theirs = resolver->_u._ext.nsaddrs[0];
    resolver->retrans = ASK_S;
    resolver->retry = ASK_TIMES;
    if (q->server.sin_family == 0 && q->server6.sin6_family == 0)
        return ask_wanted(q, resolver);
    resolver->nscount = 1;
    resolver->nsaddr_list[0] = q->server;
    resolver->_u._ext.nscount = 0; /* what it knew of its servers is out of date */
    resolver->_u._ext.nsaddrs[0] = &q->server6;
    err e = ask_wanted(q, resolver);
    resolver->_u._ext.nsaddrs[0] = theirs;
    resolver->nscount = servers;
    return e;
}

static void on_work(struct loop_job *job)
{
    struct dns_question *q = CONTAINER_OF(job, struct dns_question, job);
    struct __res_state resolver = { 0 };
    if (res_ninit(&resolver) != 0) {
        q->outcome = err_raise(ERR_UNAVAILABLE, __FILE__, __func__, __LINE__);
        return;
    }
    q->outcome = ask_with(q, &resolver);
    res_nclose(&resolver);
}

static void on_done(struct loop_job *job)
{
    struct dns_question *q = CONTAINER_OF(job, struct dns_question, job);
    if (!atomic_load(&q->cancelled))
        q->done(q->owner, q->outcome, q->outcome.code == ERR_OK ? &q->answer : NULL);
    mem_free(q);
}

static err fill(struct dns_question *q, const struct dns_ask *ask)
{
    size_t len = strlen(ask->name);
    ENSURE(len > 0 && len <= DNS_NAME_MAX, CONFIG);
    memcpy(q->name, ask->name, len + 1);
    q->wanted = ask->wanted;
    if (ask->server == NULL)
        return OK;
    q->server.sin_port = q->server6.sin6_port = htons(ask->server_port);
    if (inet_pton(AF_INET, ask->server, &q->server.sin_addr) == 1)
        q->server.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, ask->server, &q->server6.sin6_addr) == 1)
        q->server6.sin6_family = AF_INET6;
    else
        FAIL(CONFIG);
    return OK;
}

err dns_ask(struct dns_question **out, struct loop *l, const struct dns_ask *ask, dns_fn *done,
            void *owner)
{
    struct dns_question *q;
    TRY(mem_new(&q));
    q->job = (struct loop_job){ on_work, on_done };
    q->done = done;
    q->owner = owner;
    atomic_init(&q->cancelled, false);
    err e = fill(q, ask);
    if (e.code == ERR_OK)
        e = loop_start_job(l, &q->job);
    if (e.code != ERR_OK) {
        mem_free(q);
        return e;
    }
    *out = q;
    return OK;
}

void dns_cancel(struct dns_question *q)
{
    if (q != NULL)
        atomic_store(&q->cancelled, true);
}
