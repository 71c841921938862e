#!/usr/bin/env python3
"""Makes the vectors of our own receipt profile, from PROTOCOL.md section 9 alone.

    receipts.py FOLDER          compares the files there with what is made here
    receipts.py FOLDER --write  writes them

Nothing of the C code is used. Its verifier and its writer are run on the files by
tests/vectors/vec_air_v1.c; the files are written like those of AIR v1's own corpus.
"""
import json
import pathlib
import sys

import primitives as prim
from protocol import SEED, cbor, sign1

OWN = "urn:uuid:2c7f3bb5-9406-4da3-9905-328dcd6f31be"
AIR = "https://spec.cyntrisec.com/air/v1"
KEYS = {"iss": 1, "iat": 6, "cti": 7, "eat_nonce": 10, "eat_profile": 265, "model_id": -65537,
        "model_version": -65538, "model_hash": -65539, "request_hash": -65540,
        "response_hash": -65541, "attestation_doc_hash": -65542, "enclave_measurements": -65543,
        "policy_version": -65544, "sequence_number": -65545, "execution_time_ms": -65546,
        "memory_peak_mb": -65547, "security_mode": -65548, "model_hash_scheme": -65549,
        "gpu": -70001}
PUBLIC = prim.ed25519_public(SEED).hex()


def filled(names, length, first):
    return {name: bytes([first + i]) * length for i, name in enumerate(names)}


SNP = {"measurement_type": "sev-snp",
       **filled(["measurement", "id_key_digest", "author_key_digest"], 48, 1),
       **filled(["host_data"], 32, 4), **filled(["family_id", "image_id"], 16, 5)}
AZURE = {**SNP, "measurement_type": "azure-sev-snp",
         **filled([f"pcr{i}" for i in range(24)], 32, 0x20)}
TDX = {"measurement_type": "tdx-mrtd-rtmr", **filled([f"pcr{i}" for i in range(5)], 48, 0x40)}
GCP = {"measurement_type": "gcp-confidential-space", "image_digest": bytes([0x60]) * 32}
GPU = {"gpus": 8, "switches": 4, "evidence_hash": bytes([0xee]) * 32}


def claims(measurements, gpu=None, profile=OWN):
    c = {"iss": "worker-1", "iat": 1767225605, "cti": bytes(range(1, 17)),
         "eat_nonce": bytes(range(8)), "eat_profile": profile, "model_id": "demo",
         "model_version": "2026-01", "model_hash": bytes([0xaa]) * 32,
         "request_hash": bytes([0xbb]) * 32, "response_hash": bytes([0xcc]) * 32,
         "attestation_doc_hash": bytes([0xdd]) * 32, "enclave_measurements": measurements,
         "policy_version": "0.1.0+00", "sequence_number": 42, "execution_time_ms": 116,
         "memory_peak_mb": 512, "security_mode": "production",
         "model_hash_scheme": "sha256-single"}
    return {**c, "gpu": gpu} if gpu else c


def without(d, *names):
    return {k: v for k, v in d.items() if k not in names}


def signed(payload):
    return sign1(SEED, {1: -8, 3: 61}, payload)


def encoded(c):
    return cbor({KEYS[k]: v for k, v in c.items()})


def readable(value):
    if not isinstance(value, dict):
        return value
    return {k + "_hex" if isinstance(v, bytes) else k: v.hex() if isinstance(v, bytes)
            else readable(v) for k, v in value.items()}


def good(about, c, policy=None):
    return {**({"verify_policy": policy} if policy else {}),
            "description": about, "signing_key_seed_hex": SEED.hex(),
            "public_key_hex": PUBLIC, "claims": readable(c),
            "receipt_hex": signed(encoded(c)).hex(), "payload_hex": encoded(c).hex()}


def bad(about, payload, layer, check, code, policy=None):
    v = {"description": about, "public_key_hex": PUBLIC,
         "receipt_hex": signed(payload).hex(),
         "expected_failure": {"layer": layer, "check": check, "code": code}}
    return {**v, "verify_policy": policy} if policy else v


def form(about, payload):
    return bad(about, payload, 1, "CLAIMS_DECODE", "PAYLOAD_NOT_MAP")


def swapped(c, name, other):
    """The claims with two neighbouring entries of the measurement map in the wrong order."""
    m = c["enclave_measurements"]
    right = encoded(c)
    a, b = cbor(name) + cbor(m[name]), cbor(other) + cbor(m[other])
    assert a + b in right
    return right.replace(a + b, b + a)


def vectors():
    snp, azure = claims(SNP), claims(AZURE)
    return {
        "valid/snp": good("A VM under SEV-SNP.", snp),
        "valid/snp-no-author-key": good("The same, of a guest without an author key.",
                                        claims(without(SNP, "author_key_digest"))),
        "valid/snp-gpu": good("The same with eight GPUs and four switches.", claims(SNP, GPU)),
        "valid/azure-snp": good("A confidential VM on Azure, with all PCRs of its TPM.", azure),
        "valid/tdx-gpu": good("A TDX VM with GPUs: AIR v1 has no words for these.",
                              claims(TDX, GPU)),
        "valid/gcp": good("A container in Google's Confidential Space, which Google vouches for.",
                          {**claims(GCP), "security_mode": "evaluation"},
                          {"allow_evaluation": True}),
        "invalid/evaluation": bad("The same, where no policy allows evaluation.",
                                  encoded({**claims(GCP), "security_mode": "evaluation"}), 4,
                                  "SECURITY_MODE_POLICY", "EVALUATION_MODE_REJECTED"),
        "invalid/profile-of-air-v1": form(
            "SNP under AIR v1's profile: the registers that it asks for are missing.",
            encoded(claims(SNP, profile=AIR))),
        "invalid/gpu-in-air-v1": form("A GPU claim under AIR v1's profile.",
                                      encoded(claims(TDX, GPU, AIR))),
        "invalid/tdx-without-gpu": form("What AIR v1 can say is said in AIR v1.",
                                        encoded(claims(TDX))),
        "invalid/profile-unknown": form("A profile that nobody has heard of.",
                                        encoded(claims(SNP, profile=OWN[:-1] + "f"))),
        "invalid/measurement-missing": form("No launch measurement.",
                                            encoded(claims(without(SNP, "measurement")))),
        "invalid/register-unknown": form("chip_id has no place in a receipt.",
                                         encoded(claims({**SNP, "chip_id": bytes(64)}))),
        "invalid/register-of-another-type": form("A register of a TPM in an SNP receipt.",
                                                 encoded(claims({**SNP, "pcr0": bytes(32)}))),
        "invalid/azure-without-pcrs": form("Nothing says which guest it was.", encoded(
            claims({**SNP, "measurement_type": "azure-sev-snp"}))),
        "invalid/no-gpus": form("A GPU claim about none.", encoded(claims(SNP, {**GPU, "gpus": 0}))),
        "invalid/seventeen-gpus": form("One more than there may be.",
                                       encoded(claims(SNP, {**GPU, "gpus": 17}))),
        "invalid/gpu-hash-short": form("A hash of 31 bytes.", encoded(
            claims(SNP, {**GPU, "evidence_hash": bytes(31)}))),
        "invalid/key-order": bad("measurement_type and author_key_digest have changed places.",
                                 swapped(snp, "measurement_type", "author_key_digest"),
                                 1, "ENCODING", "NOT_DETERMINISTIC"),
        "invalid/measurement-short": bad("A launch measurement of 32 bytes.", encoded(
            claims({**SNP, "measurement": bytes(32)})), 3, "MEAS", "BAD_MEASUREMENT_LENGTH"),
        "invalid/type-unknown": bad("A measurement type of neither profile.", encoded(
            claims({**SNP, "measurement_type": "sev-es"})), 3, "MTYPE", "UNKNOWN_MTYPE:sev-es"),
        "invalid/platform-mismatch": bad("Azure's, where a plain SNP guest is expected.",
                                         encoded(azure), 4, "PLATFORM", "PLATFORM_MISMATCH",
                                         {"expected_platform": "sev-snp"}),
    }


def main(folder, write):
    made = {pathlib.Path(folder) / f"{name}.json": json.dumps(v, indent=1) + "\n"
            for name, v in vectors().items()}
    for path, text in made.items():
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is not what {sys.argv[0]} makes; see its --write")
    if set(pathlib.Path(folder).rglob("*.json")) != set(made):
        sys.exit(f"{folder} has other files than {sys.argv[0]} makes")
    print(f"{len(made)} vectors")


main(sys.argv[1], "--write" in sys.argv[2:])
