/* wire/ohttp_test.h - what only tests may do to an exchange. No program includes this. */
#pragma once

#include "wire/ohttp.h"

/* Before the first ohttp_server_seal: the response nonce (copied), whose length must fit the AEAD;
 * ERR_MALFORMED else. */
err ohttp_test_give_nonce(struct ohttp_server *s, bytes nonce);

/* As if so many plaintext bytes had already been sealed or opened, to get near OHTTP_MESSAGE_MAX. */
void ohttp_test_client_used(struct ohttp_client *c, uint64_t sealed, uint64_t opened);
