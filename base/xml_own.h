/*
 * base/xml_own.h - what base/xml.c and base/xml_canonical.c share. For no other file.
 *
 * Nodes stand in document order, each with the place behind its subtree.
 */
#pragma once

#include "base/xml.h"

/* Where a string stands in the arena: offsets stay right when it grows. */
struct span {
    size_t at;
    size_t len;
};

struct attribute {
    struct span prefix; /* empty: none */
    struct span local;
    struct span uri; /* of its namespace; empty: none */
    struct span value;
};

/* Text has no local name. Attributes, then namespace declarations, of an element follow each other. */
struct node {
    struct span prefix;
    struct span local;
    struct span uri;
    struct span text;
    size_t attributes;
    size_t attributes_n;
    size_t declared; /* in the array of declarations: local is the prefix, value the namespace */
    size_t declared_n;
    size_t parent; /* 0: none; nodes count from 1 */
    size_t end;    /* the first node behind its subtree */
    size_t depth;
};

struct xml {
    struct buf arena;
    struct node *nodes; /* [0] is none */
    size_t nodes_n;
    size_t nodes_cap;
    struct attribute *attributes;
    size_t attributes_n;
    size_t attributes_cap;
    struct attribute *declared;
    size_t declared_n;
    size_t declared_cap;
};

static inline bytes xml_view(const struct xml *doc, struct span s)
{
    return bytes_slice(buf_view(&doc->arena), s.at, s.len);
}

/* What the prefix stands for at this element; no prefix may stand for nothing. */
bool xml_resolve(const struct xml *doc, size_t at, bytes prefix, struct span *out);
