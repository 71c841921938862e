#include "gateway/admit.h"

#include <arpa/inet.h>

#include "base/mem.h"
#include "base/text.h"

err admit_new(struct admit **out, const struct config_list *hosts,
              const struct config_list *origins, struct token_set *tokens)
{
    struct admit *a;
    TRY(mem_new(&a));
    a->hosts = hosts;
    a->origins = origins;
    atomic_store(&a->refs, 1);
    if (tokens != NULL) {
        a->tokens = *tokens;
        *tokens = (struct token_set){ 0 };
    }
    *out = a;
    return OK;
}

struct admit *admit_ref(struct admit *a)
{
    (void)atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
    return a;
}

void admit_unref(struct admit *a)
{
    if (a == NULL || atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) != 1)
        return;
    token_set_clear(&a->tokens);
    mem_free(a);
}

static bool in_list(const struct config_list *list, bytes v)
{
    for (size_t i = 0; i < list->n; i++) {
        if (text_equal_nocase(bytes_str(list->at[i]), v))
            return true;
    }
    return false;
}

/* Host without its port: "[::1]:8080" gives "::1", "name:80" gives "name". */
static bytes without_port(bytes host)
{
    if (host.len > 0 && host.at[0] == '[') {
        size_t end = text_find(host, BYTES_LIT("]"));
        return end < host.len ? bytes_slice(host, 1, end - 1) : (bytes){ 0 };
    }
    return bytes_slice(host, 0, text_find(host, BYTES_LIT(":")));
}

static bool is_address(bytes host)
{
    char text[INET6_ADDRSTRLEN + 1];
    struct in6_addr addr;
    if (host.len >= sizeof text || host.len == 0)
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = 0;
    return inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1;
}

bool admit_host(const struct admit *a, bytes host)
{
    bytes name = without_port(host);
    if (name.len == 0)
        return false;
    bytes tail = bytes_slice(name, name.len > 10 ? name.len - 10 : 0, 10);
    return is_address(name) || text_equal_nocase(name, BYTES_LIT("localhost")) ||
           text_equal_nocase(tail, BYTES_LIT(".localhost")) || in_list(a->hosts, name) ||
           in_list(a->hosts, host);
}

enum admit_verdict admit_token(const struct admit *a, bytes authorization, bytes api_key,
                               const struct token **key)
{
    *key = NULL;
    if (a->tokens.n == 0)
        return ADMIT_WELCOME;
    bytes token = token_of_authorization(authorization);
    if (token.len == 0)
        token = api_key;
    if (token.len == 0)
        return authorization.len > 0 ? ADMIT_BAD_TOKEN : ADMIT_NO_TOKEN;
    *key = token_set_find(&a->tokens, token);
    return *key != NULL ? ADMIT_WELCOME : ADMIT_BAD_TOKEN;
}

bool admit_work(const struct admit *a, bytes origin)
{
    bytes scheme = bytes_slice(origin, 0, text_find(origin, BYTES_LIT(":")));
    bool page = text_equal_nocase(scheme, BYTES_LIT("http")) ||
                text_equal_nocase(scheme, BYTES_LIT("https")) ||
                text_equal_nocase(origin, BYTES_LIT("null"));
    return !page || a->tokens.n > 0 || admit_origin(a, origin);
}

bool admit_origin(const struct admit *a, bytes origin)
{
    if (origin.len == 0 || origin.len > ADMIT_ORIGIN_MAX)
        return false;
    return in_list(a->origins, origin) || in_list(a->origins, BYTES_LIT("*"));
}
