/* Fredman, Sedgewick, Sleator, Tarjan: The pairing heap (Algorithmica 1, 1986). `prev` is the elder
 * sibling, or the parent of a first child; the root has none. */
#include "base/heap.h"

#include <stddef.h>

/* Of two roots the later becomes the first child of the earlier. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (b->rank < a->rank) {
        struct heap_node *earlier = b;
        b = a;
        a = earlier;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL)
        b->next->prev = b;
    a->child = b;
    return a;
}

static struct heap_node *cut_first(struct heap_node **list)
{
    struct heap_node *n = *list;
    if (n == NULL)
        return NULL;
    *list = n->next;
    n->next = NULL;
    n->prev = NULL;
    return n;
}

/* The children of a removed node become one heap: in pairs from the left, then all together. */
static struct heap_node *join(struct heap_node *children)
{
    struct heap_node *pairs = NULL;
    while (children != NULL) {
        struct heap_node *a = cut_first(&children);
        struct heap_node *b = cut_first(&children);
        struct heap_node *pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct heap_node *root = NULL;
    while (pairs != NULL)
        root = meld(root, cut_first(&pairs));
    return root;
}

static void unlink_from_siblings(struct heap_node *n)
{
    if (n->prev->child == n)
        n->prev->child = n->next;
    else
        n->prev->next = n->next;
    if (n->next != NULL)
        n->next->prev = n->prev;
}

void heap_add(struct heap *h, struct heap_node *n)
{
    n->child = NULL;
    n->next = NULL;
    n->prev = NULL;
    h->first = meld(h->first, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    struct heap_node *children = join(n->child);
    if (n == h->first) {
        h->first = children;
    } else {
        unlink_from_siblings(n);
        h->first = meld(h->first, children);
    }
    n->child = NULL;
    n->next = NULL;
    n->prev = NULL;
}
