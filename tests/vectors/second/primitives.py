"""Slow, short versions of the primitives, written from their RFCs and from nothing of Sealgate's: so
that PROTOCOL.md's vectors have a second origin. Only for making vectors: not constant time."""
import hashlib
import hmac

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def hkdf_extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(prk, info, length):
    out = block = b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
    return out[:length]


def x25519(k, u=(9).to_bytes(32, "little")):
    """RFC 7748 section 5."""
    k = int.from_bytes(bytes([k[0] & 248]) + k[1:31] + bytes([k[31] & 127 | 64]), "little")
    x1 = int.from_bytes(u, "little") & (2**255 - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for t in range(254, -1, -1):
        if k >> t & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a, c * b, a * a, b * b
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        if k >> t & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def _add(p, q):
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P,
            (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P)


def _mul(n, p):
    out = (0, 1)
    for bit in bin(n)[2:]:
        out = _add(out, out)
        if bit == "1":
            out = _add(out, p)
    return out


def _base():
    y = 4 * pow(5, P - 2, P) % P
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (P - x if x & 1 else x, y)


def _encode(p):
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def _expanded(seed):
    h = hashlib.sha512(seed).digest()
    return int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254, h[32:]


def ed25519_public(seed):
    return _encode(_mul(_expanded(seed)[0], _base()))


def ed25519_sign(seed, message):
    """RFC 8032 section 5.1.6."""
    a, prefix = _expanded(seed)
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    big_r = _encode(_mul(r, _base()))
    k = hashlib.sha512(big_r + ed25519_public(seed) + message).digest()
    s = (r + int.from_bytes(k, "little") * a) % L
    return big_r + s.to_bytes(32, "little")


def _sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        for shift in (1, 2, 4):
            q ^= q << shift
        q &= 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rot = q
        for i in range(1, 5):
            rot ^= (q << i | q >> (8 - i)) & 0xFF
        box[p & 0xFF] = rot ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


SBOX = _sbox()


def _round_keys(key):
    """FIPS 197 section 5.2."""
    nk, words, rcon = len(key) // 4, [key[i:i + 4] for i in range(0, len(key), 4)], 1
    for i in range(nk, 4 * (nk + 7)):
        t = words[-1]
        if i % nk == 0:
            t = bytes(SBOX[b] for b in t[1:] + t[:1])
            t = bytes([t[0] ^ rcon]) + t[1:]
            rcon = rcon << 1 ^ (0x11B if rcon & 0x80 else 0)
        elif nk > 6 and i % nk == 4:
            t = bytes(SBOX[b] for b in t)
        words.append(bytes(a ^ b for a, b in zip(words[i - nk], t)))
    return [b"".join(words[i:i + 4]) for i in range(0, len(words), 4)]


def _double(b):
    return b << 1 ^ (0x11B if b & 0x80 else 0)


def _block(keys, block):
    s = [a ^ b for a, b in zip(block, keys[0])]
    for n, key in enumerate(keys[1:], 1):
        s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if n < len(keys) - 1:
            mixed = []
            for c in range(0, 16, 4):
                col, all_ = s[c:c + 4], s[c] ^ s[c + 1] ^ s[c + 2] ^ s[c + 3]
                mixed += [col[i] ^ all_ ^ _double(col[i] ^ col[(i + 1) % 4]) for i in range(4)]
            s = mixed
        s = [a ^ b for a, b in zip(s, key)]
    return bytes(s)


def _ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y


def _padded(b):
    return b + bytes(-len(b) % 16)


def aes_gcm_seal(key, nonce, aad, plain):
    """NIST SP 800-38D, with a nonce of 12 bytes and a tag of 16."""
    keys = _round_keys(key)
    h = int.from_bytes(_block(keys, bytes(16)), "big")
    stream = b"".join(_block(keys, nonce + (i + 2).to_bytes(4, "big"))
                      for i in range(-(-len(plain) // 16)))
    out = bytes(a ^ b for a, b in zip(plain, stream))
    lengths = (len(aad) * 8).to_bytes(8, "big") + (len(out) * 8).to_bytes(8, "big")
    tag = _ghash(h, _padded(aad) + _padded(out) + lengths)
    mask = int.from_bytes(_block(keys, nonce + (1).to_bytes(4, "big")), "big")
    return out + (tag ^ mask).to_bytes(16, "big")


def check():
    """RFC 7748 section 5.2, RFC 8032 section 7.1 test 2, FIPS 197 appendix C.3, GCM test case 14."""
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert x25519(scalar, point).hex() == \
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    assert ed25519_public(seed).hex() == \
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert ed25519_sign(seed, b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540")
    assert _block(_round_keys(bytes(range(32))), bytes.fromhex("00112233445566778899aabbccddeeff")) \
        .hex() == "8ea2b7ca516745bfeafc49904b496089"
    assert aes_gcm_seal(bytes(32), bytes(12), b"", bytes(16)).hex() == \
        "cea7403d4d606b6e074ec5d3baf39d18" "d0d1c8a799996bf0265b98b5d48ab919"
