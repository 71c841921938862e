/*
 * gateway/openapi.h - openapi/openapi.yaml as JSON, which openapi/embed.py writes at build time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

extern const uint8_t OPENAPI_JSON[];
extern const size_t OPENAPI_JSON_LEN;
