/*
 * base/xml.h - the part of XML 1.0 that signed documents of vendors use, and its canonical form.
 *
 * Elements, attributes, namespaces, text, comments, the five predefined entities and character
 * references. Refused: a document type, CDATA sections, processing instructions (the declaration at
 * the start apart), attributes and prefixes named `xml`, other encodings than UTF-8, repeated
 * attributes, prefixes that are not bound. Comments are dropped, which is what the canonical form
 * without comments does.
 *
 * The canonical form is Canonical XML 1.1 without comments (http://www.w3.org/2006/12/xml-c14n11) of
 * the whole document or of one element with all in it, one element left out if wanted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum {
    XML_INPUT_MAX = 1024 * 1024,
    XML_NODES_MAX = 16 * 1024,      /* elements and runs of text */
    XML_ATTRIBUTES_MAX = 64 * 1024, /* in all, namespace declarations among them */
    XML_ATTRIBUTES_EACH_MAX = 128,  /* of one element */
    XML_DEPTH_MAX = 32
};

struct xml;

/* An element or a run of text of the document; small, passed by value, valid as long as the struct
 * xml. Zero is none. */
struct xml_node {
    const struct xml *of;
    size_t at;
};

/* The whole of in. ERR_LIMIT above a limit, ERR_MALFORMED for all else that is not accepted. */
err xml_read(struct xml **out, bytes in);
void xml_free(struct xml *doc);

struct xml_node xml_root(const struct xml *doc);
bool xml_is_node(struct xml_node n);

/* Is it an element of that name in that namespace ("": none)? False for text and for no node. */
bool xml_is(struct xml_node n, const char *uri, const char *name);

/* The n-th child element (from 0) of that name and namespace, or none. */
struct xml_node xml_child(struct xml_node parent, const char *uri, const char *name, size_t n);

/* How many child elements of any name it has. */
size_t xml_children(struct xml_node parent);

/* Its attribute of that name and namespace ("": none), borrowed. False: it has none. */
bool xml_attribute(struct xml_node element, const char *uri, const char *name, bytes *out);

/* Appends the text right inside an element. ERR_MALFORMED when there are elements in it. */
err xml_text(struct xml_node element, struct buf *out);

/* Appends the canonical form of apex, or of the document when it is none, without left_out and all
 * in it. */
err xml_canonical(const struct xml *doc, struct xml_node apex, struct xml_node left_out,
                  struct buf *out);
