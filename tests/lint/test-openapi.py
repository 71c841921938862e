#!/usr/bin/env python3
"""Plants faults for check-openapi.py."""
import pathlib
import sys

import planting

ROOT = pathlib.Path(sys.argv[1])
API = (ROOT / "openapi/openapi.yaml").read_text()
ROUTES = (ROOT / "api/route.c").read_text()

planting.prove("check-openapi.py", [
    ("openapi/openapi.yaml", API.replace("  /metrics:\n", "  /planted:\n"), "get /planted is not in"),
    ("openapi/openapi.yaml", API.replace("  /metrics:\n", "  /planted:\n"), "no get /metrics"),
    ("openapi/openapi.yaml", API.replace("    post:\n", "    put:\n", 1), "put /v1/chat/completions"),
    ("api/route.c", ROUTES.replace('"/readyz"', '"/planted"'), "no get /planted"),
    ("api/route.c", ROUTES.replace('"/v1/models/*"', '"/v1/planted/*"'), "no get /v1/planted/{id}"),
    ("api/route.c", "", "not written as this lint reads it"),
], together=False)
