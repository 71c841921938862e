/*
 * base/heap.h - what comes first: a pairing heap whose nodes are embedded in their owners, so that
 * thousands can come and go each second without an allocation. Adding takes constant time, removing
 * on average logarithmic time. Owns nothing; one thread.
 */
#pragma once

#include <stdint.h>

struct heap_node {
    uint64_t rank; /* the owner's to set, while the node is in no heap */
    struct heap_node *child, *next, *prev;
};

/* Zeroed is empty. */
struct heap {
    struct heap_node *first; /* one of the lowest rank; NULL when empty. Read only */
};

/* n is in no heap, and stays where it is in memory until it is removed. */
void heap_add(struct heap *h, struct heap_node *n);

/* n is in this heap, and in none afterwards. */
void heap_remove(struct heap *h, struct heap_node *n);
