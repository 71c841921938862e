"""Cases of the shared vectors as a worker would show them: evidence, and collateral as verifiers take
it. Encodes by itself what the programs encode too, so the two check each other."""
import json
import os
import pathlib
import ssl

from suite import Skip

HERE = pathlib.Path(__file__).resolve().parent
PLATFORMS = ("tdx", "sev-snp", "nitro")


def folder_of(platform):
    default = HERE.parent.parent.parent / "shared" / "vectors"
    folder = pathlib.Path(os.environ.get("SEALGATE_VECTORS", default)) / "attest" / platform
    if not (folder / "cases.json").exists():
        raise Skip("no vectors, so there is no genuine evidence")
    return folder


def cases(platform):
    return json.loads((folder_of(platform) / "cases.json").read_text())["cases"]


def case(platform, name):
    return next(c for c in cases(platform) if c["id"] == name)


# ---- the CBOR that collateral of TDX is ----


def head(kind, n):
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([kind << 5 | n])
        if n < 1 << 8 * size:
            return bytes([kind << 5 | low]) + n.to_bytes(size, "big")
    raise AssertionError(n)


def item(value):
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(item, value))
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, str):
        return head(3, len(value)) + value.encode()
    return head(2, len(value)) + value


def cbor_map(values):
    pairs = sorted((item(k), item(v)) for k, v in values.items())
    return head(5, len(pairs)) + b"".join(k + v for k, v in pairs)


def tdx_collateral(folder, c):
    names = c.get("collateral")
    if not names:
        return b""
    part = {k: (folder / v).read_bytes() for k, v in names.items()}
    chain = part.get("tcb_signing_chain") or part.get("tcb_info_chain")
    return cbor_map({"version": 1, "pck_crl": part["pck_crl"], "root_crl": part["root_ca_crl"],
                     "tcb_info": part["tcb_info"], "qe_identity": part["qe_identity"],
                     "tcb_info_chain": chain,
                     "qe_identity_chain": part.get("qe_identity_chain", chain)})


# ---- a host's table of certificates ----

GUIDS = {"vcek": "63da758de6644564adc5f4b93be8accd", "vlek": "a8074bc2a25a483eaae639c045a0b8a1",
         "ask": "4ab7b379bbac4fe4a02f05aef327c782", "ark": "c0b406a4a803495297433fb6014cd0ae",
         "crl": "92f81bc358114d3d97ffd19f88dc67ea"}


def snp_table(folder, c):
    entries = []
    if c.get("leaf"):
        leaf = (folder / c["leaf"]).read_bytes()
        entries.append(("vlek" if b"SEV-VLEK" in leaf else "vcek", leaf))
    for name in c.get("chain", []):
        entries.append(("ark" if "ark" in name else "ask", (folder / name).read_bytes()))
    if c.get("crl"):
        entries.append(("crl", (folder / c["crl"]).read_bytes()))
    rows, data, at = b"", b"", 24 * (len(entries) + 1)
    for kind, der in entries:
        rows += bytes.fromhex(GUIDS[kind]) + at.to_bytes(4, "little") + len(der).to_bytes(4, "little")
        data += der
        at += len(der)
    return rows + bytes(24) + data


# ---- a GPU, and all that NVIDIA publishes about it ----

GPU = "gh100-550.90.07"
GPU_AT = 1755777600  # when the recorded answers about its certificates held
GPU_NONCE = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"


def gpu_device():
    """(report, chain in PEM)"""
    folder = folder_of("nvidia") / "gpu"
    return tuple((folder / f"{GPU}.{name}").read_bytes() for name in ("evidence.bin", "chain.pem"))


def gpu_evidence():
    folder = folder_of("nvidia")
    report, chain = gpu_device()
    certs = [ssl.PEM_cert_to_DER_cert(c.strip() + "\n-----END CERTIFICATE-----")
             for c in chain.decode().split("-----END CERTIFICATE-----")[:-1]]
    ocsp = [(folder / f"ocsp/device-{n}.der").read_bytes()
            for n in ("brom", "provisioner", "identity")]
    rims = [(folder / f"rim/{n}.xml").read_bytes()
            for n in ("driver-gh100-550.90.07", "vbios-1010-0200-882-96009f0001")]
    return cbor_map({"ocsp": ocsp, "rims": rims, "devices": [[1, report, certs]]})


# ---- together ----


def evidence(platform, c):
    """(evidence, collateral) of a case."""
    folder = folder_of(platform)
    main = (folder / next(c[k] for k in ("quote", "report", "doc") if k in c)).read_bytes()
    if platform == "tdx":
        return main, tdx_collateral(folder, c)
    return main, snp_table(folder, c) if platform == "sev-snp" else b""


TDX_NAMED = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrowner", "mrownerconfig",
             "mrservicetd")


def registers(platform, fields):
    """What a policy has to name, by name; values in hex."""
    if platform == "tdx":
        return {n: fields[n] for n in TDX_NAMED if set(fields.get(n, "0")) != {"0"}}
    if platform == "sev-snp":
        return {"measurement": fields["measurement"]}
    return {f"pcr{i}": fields["pcrs"][str(i)] for i in range(3)}


def policy(platform, fields, more="", spoilt=False):
    text = f"platforms: [{platform}]\nmax_age: 300s\nmeasurements:\n"
    for name, value in registers(platform, fields).items():
        if spoilt:
            value, spoilt = value[:-1] + ("1" if value[-1] == "0" else "0"), False
        text += f"  {name}: [{value}]\n"
    return text + more
