#!/usr/bin/env python3
"""Every module has a unit test of its own name that meson runs."""
import pathlib
import re
import sys

FOLDERS = ("base", "crypto", "attest", "receipts", "wire", "api")
# A module without a test file of its own, and where it is tested instead.
ELSEWHERE = {
    "attest/appraise_gather": "tests/unit/attest/test_appraise.c gives it all of the collateral in parts",
    "attest/appraise_nitro": "tests/unit/attest/test_appraise.c judges genuine documents with it",
    "attest/appraise_policy": "tests/unit/attest/test_appraise.c judges by policies",
    "attest/appraise_snp": "tests/unit/attest/test_appraise.c judges genuine reports with it",
    "attest/appraise_tdx": "tests/unit/attest/test_appraise.c judges genuine quotes with it",
    "attest/appraise_write": "tests/unit/attest/test_appraise.c reads what it writes",
    "attest/collateral_snp": "tests/unit/attest/test_collateral.c completes genuine reports with it",
    "attest/collateral_tdx": "tests/unit/attest/test_collateral.c completes genuine quotes with it",
    "api/responses_check": "tests/unit/api/test_responses_ask.c has every fault it finds",
    "api/responses_parts": "tests/unit/api/test_responses_input.c writes every part",
    "api/responses_item": "tests/unit/api/test_responses_chat.c sees every event of its life",
    "api/tool_deltas_edit": "tests/unit/api/test_tool_deltas.c has it change events in every way",
    "api/tool_deltas_read": "tests/unit/api/test_tool_deltas.c has it read what is right and wrong",
    "attest/simulated_absent": "tests/unit/attest/test_simulated.c tests what this stands in for",
    "base/config_file": "tests/unit/base/test_config.c has every form and fault of a file",
    "base/config_flags": "tests/unit/base/test_config.c has every form and fault of a flag",
    "base/config_loader": "tests/unit/base/test_config.c reads what it says of each source",
    "base/config_show": "tests/unit/base/test_config.c prints all that it shows",
    "base/config_value": "tests/unit/base/test_config.c reads every type through config_load()",
    "base/curl_loop": "tests/unit/gateway/test_fetch.c and enclave-worker/test_engine_http.c run on it",
    "base/loop_fd": "tests/unit/base/test_loop.c watches descriptors",
    "base/loop_turn": "tests/unit/base/test_loop.c has every order of tasks and hooks",
    "base/loop_work": "tests/unit/base/test_loop.c has jobs done and names looked up",
    "wire/bhttp_write": "tests/unit/wire/test_bhttp.c reads what it writes, and has it refuse",
    "wire/conn": "tests/unit/wire/test_link.c drives it; only link and listener may call it",
    "wire/h2_receive": "tests/unit/wire/test_h2.c has it at both ends",
    "wire/h2_send": "tests/unit/wire/test_h2.c has it at both ends",
    "wire/listener": "tests/unit/wire/test_link.c has a listener at the other end of each link",
}


def faults_of(root, folder, module):
    name = f"{folder}/{module}"
    test = f"tests/unit/{folder}/test_{module}.c"
    if (root / test).exists():
        listed = (root / "tests/unit" / folder / "meson.build").read_text()
        if not re.search(rf"'(test_)?{re.escape(module)}(\.c)?'", listed):
            yield f"{test}: not run; name it in tests/unit/{folder}/meson.build"
        if name in ELSEWHERE:
            yield f"{name}: has a test now; remove it from the exceptions"
    elif name not in ELSEWHERE:
        yield f"{name}.c: no {test}"
    elif not (root / ELSEWHERE[name].split()[0]).exists():
        yield f"{name}.c: its exception names a file that is not there"


def main(root):
    bad = 0
    modules = {f"{d}/{p.stem}": p for d in FOLDERS for p in (root / d).glob("*.c")}
    faults = [f for m in sorted(modules) for f in faults_of(root, *m.split("/"))]
    faults += [f"{name}: an exception for no module" for name in ELSEWHERE if name not in modules]
    for fault in faults:
        print(fault)
        bad += 1
    return bad != 0


sys.exit(main(pathlib.Path(sys.argv[1])))
