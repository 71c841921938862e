/*
 * gateway/admit.h - who may ask: names in Host, bearer tokens, web origins.
 *
 * Pure. Constant once it is shared; who reads the tokens anew makes another one.
 */
#pragma once

#include <stdatomic.h>

#include "base/config.h"
#include "crypto/token.h"

enum { ADMIT_ORIGIN_MAX = 512 };

struct admit {
    _Atomic uint32_t refs;             /* of one made by admit_new() */
    const struct config_list *hosts;   /* borrowed */
    const struct config_list *origins; /* borrowed */
    struct token_set tokens;           /* empty: no token is needed */
};

/* With tokens, which are taken; a NULL one has none. Counted by reference, from any thread. */
err admit_new(struct admit **out, const struct config_list *hosts,
              const struct config_list *origins, struct token_set *tokens);
struct admit *admit_ref(struct admit *a);
void admit_unref(struct admit *a); /* NULL is allowed */

/* True for an address, for localhost and names under it, and for the names in the settings; with or
 * without a port. A page in a browser whose name was made to point here by DNS sends its own name. */
bool admit_host(const struct admit *a, bytes host);

enum admit_verdict { ADMIT_BAD_TOKEN = 0, ADMIT_NO_TOKEN, ADMIT_WELCOME };

/* authorization is a whole field; api_key is what Azure-style clients send instead, or empty.
 * *key is NULL where none is needed or none was right. */
enum admit_verdict admit_token(const struct admit *a, bytes authorization, bytes api_key,
                               const struct token **key);

/* Whether pages of that web origin may read answers. */
bool admit_origin(const struct admit *a, bytes origin);

/* Whether somebody who names that origin (empty: none) may have work done. A browser sends simple
 * requests for any page without asking first, whether or not the page may read the answer; where
 * tokens are needed, no page can guess one. Programs and extensions that name an origin of their own
 * are no web pages. */
bool admit_work(const struct admit *a, bytes origin);
