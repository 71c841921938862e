/*
 * gateway/shelf.h - small things kept in a folder over a restart, one file each.
 *
 * For what can be fetched again: a file is written in one step and for the owner only, and whoever
 * reads one has to check it, for nothing here does. Old ones go when there are too many.
 */
#pragma once

#include "base/buf.h"

struct shelf;

enum { SHELF_FILES_MAX = 512, SHELF_KEY_MAX = 200, SHELF_PATH_MAX = 4096 };

/* The folder is made with the first write. Remains of writes that a crash cut short are removed.
 * ERR_CONFIG: it is no folder, or `readonly` and not there. */
err shelf_open(struct shelf **out, const char *folder, bool readonly);
void shelf_close(struct shelf *s);

/* Appends what is kept under a key of [a-z0-9-]. ERR_NOT_FOUND; ERR_LIMIT when out has no room;
 * ERR_DENIED, ERR_SYSTEM. */
err shelf_read(const struct shelf *s, const char *key, struct buf *out);

/* In place of what was there. With SHELF_FILES_MAX others, the one written longest ago goes first.
 * ERR_SYSTEM, with nothing changed; ERR_DENIED when it is read-only. */
err shelf_write(struct shelf *s, const char *key, bytes content);
void shelf_drop(struct shelf *s, const char *key);
