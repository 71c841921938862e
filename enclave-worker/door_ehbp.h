/*
 * enclave-worker/door_ehbp.h - the Encrypted HTTP Body Protocol: an ordinary request whose body is
 * sealed, and an answer of the same kind. For door.c.
 *
 * Method, path, fields and status are outside: whoever is on the way reads and can change them, so
 * nothing of them is taken for the client's word but what it signs with its token. No date inside says
 * how old a request is, so its key is remembered for as long as it could open. EHBP has no end of its
 * own; an event stream ends with a comment that holds the receipt, another answer has the receipt
 * sealed in a field in front of it (and is held until it is complete), and an error has its length in
 * its JSON.
 */
#pragma once

#include "enclave-worker/door.h"

err door_ehbp_new(struct door **out, struct worker *w, enum door_kind kind,
                  const struct link_request *req);
