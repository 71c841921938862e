/*
 * base/config_file.h - settings from a YAML file. Private to config.c.
 */
#pragma once

#include "base/config_loader.h"

/* Applies every key of the file; none is OK. ERR_CONFIG with a message that names the line. */
err config_file_apply(struct config_loader *l);

/* The same of a file's bytes, which messages call l->file. */
err config_file_read(struct config_loader *l, bytes text);
