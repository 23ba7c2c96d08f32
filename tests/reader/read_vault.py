#!/usr/bin/env python3
"""A second reader of keyward's vaults, written from docs/vault-format.md alone.

usage: read_vault.py VAULT IDENTITY     prints {"PROVIDER/PROFILE": {"NAME": "value"}} as JSON

Needs Python 3.11 (tomllib) and stock `age`; nothing else, and none of keyward's code. It checks the commitment, the seal
of the whole and the seal of every entry before it opens a value, and ends with 9 when one does not fit. The ciphers are
written out here (RFC 8439, draft-irtf-cfrg-xchacha-03) because Debian's Python has no XChaCha20-Poly1305: this is a
proof of the document, not a tool for secrets.
"""

import base64
import hashlib
import hmac
import json
import re
import struct
import subprocess
import sys
import tomllib
from datetime import timezone


class Damaged(Exception):
    pass


# ChaCha20 and Poly1305 (RFC 8439), HChaCha20 (draft-irtf-cfrg-xchacha-03 section 2.2).


def rounds(state):
    def quarter(a, b, c, d):
        for one, other, target, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[one] = (state[one] + state[other]) & 0xFFFFFFFF
            mixed = state[target] ^ state[one]
            state[target] = (mixed << bits | mixed >> (32 - bits)) & 0xFFFFFFFF

    for _ in range(10):
        quarter(0, 4, 8, 12), quarter(1, 5, 9, 13), quarter(2, 6, 10, 14), quarter(3, 7, 11, 15)
        quarter(0, 5, 10, 15), quarter(1, 6, 11, 12), quarter(2, 7, 8, 13), quarter(3, 4, 9, 14)
    return state


def block(key, last):
    return list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key)) + list(last)


def hchacha20(key, nonce):
    state = rounds(block(key, struct.unpack("<4I", nonce)))
    return struct.pack("<8I", *state[:4], *state[12:])


def chacha20(key, counter, nonce, data):
    out = bytearray()
    for start in range(0, len(data), 64):
        first = block(key, (counter + start // 64, *struct.unpack("<3I", nonce)))
        stream = struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(first, rounds(list(first)))))
        out += bytes(a ^ b for a, b in zip(data[start : start + 64], stream))
    return bytes(out)


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for start in range(0, len(data), 16):
        total = (total + int.from_bytes(data[start : start + 16] + b"\x01", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def open_xchacha20poly1305(key, nonce, associated, sealed):
    subkey, short = hchacha20(key, nonce[:16]), bytes(4) + nonce[16:]
    text, tag = sealed[:-16], sealed[-16:]
    pad = lambda data: bytes(-len(data) % 16)
    mac = associated + pad(associated) + text + pad(text) + struct.pack("<QQ", len(associated), len(text))
    if not hmac.compare_digest(poly1305(chacha20(subkey, 0, short, bytes(32)), mac), tag):
        raise Damaged("a value does not open")
    return chacha20(subkey, 1, short, text)


# The document: Encoding, Keys, Sealed values, Seals.


def text(value):
    data = value.encode()
    return b"s" + struct.pack(">Q", len(data)) + data


def number(value):
    return b"u" + struct.pack(">Q", value)


def time(value):
    value = value.astimezone(timezone.utc)
    seconds = int(value.replace(microsecond=0).timestamp())
    return b"t" + struct.pack(">qI", seconds, value.microsecond * 1000)


def optional(encode, value):
    return b"n" if value is None else encode(value)


def items(encoded):
    return b"l" + struct.pack(">Q", len(encoded)) + b"".join(encoded)


def pairs(table):
    return items([text(name) + text(table[name]) for name in sorted(table, key=str.encode)])


def times(table):
    return items([text(name) + time(table[name]) for name in sorted(table, key=str.encode)])


def hkdf(data_key, salt, info):
    extracted = hmac.digest(salt.encode(), data_key, "sha256")
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256")


def base64_of(data):
    return base64.b64encode(data).decode()


def unbase64(value):
    data = base64.b64decode(value, validate=True)
    if base64_of(data) != value:
        raise Damaged("base64 that is not canonical")
    return data


def same(one, other, what):
    if not hmac.compare_digest(one.encode(), other.encode()):
        raise Damaged(f"{what} does not fit")


SLOTS = {
    "age": lambda slot: text(slot["recipient"]),
    "passphrase": lambda slot: text(slot["kdf"])
    + number(slot["m_kib"])
    + number(slot["t"])
    + number(slot["p"])
    + text(slot["salt"]),
    "keyring": lambda slot: text(slot["account"]),
}


def data_key(slots, identity):
    for slot in slots:
        if slot["kind"] == "age":
            opened = subprocess.run(["age", "-d", "-i", identity], input=unbase64(slot["wrapped"]), capture_output=True)
            if opened.returncode == 0:
                return opened.stdout
    raise SystemExit("no slot opens with this identity")


def entry_seal(key, vault_id, provider, profile, entry):
    content = (
        text("keyward 1 entry seal")
        + text(vault_id)
        + text(entry["id"])
        + text(provider)
        + text(profile)
        + number(entry["generation"])
        + text(entry["provider_rev"])
        + time(entry["created"])
        + time(entry["updated"])
        + optional(time, entry.get("expires_at"))
        + optional(text, entry.get("record"))
        + pairs(entry.get("field", {}))
        + pairs(entry.get("var", {}))
        + pairs(entry.get("secret", {}))
    )
    if "ends" in entry or "entered" in entry:
        content += times(entry.get("ends", {})) + times(entry.get("entered", {}))
    return base64_of(hmac.digest(key, content, "sha256"))


def unpadded(padded):
    value = padded.rstrip(b"\x00")
    if not value.endswith(b"\x80"):
        raise Damaged("a value that is not padded")
    return value[:-1].decode()


def read(path, identity):
    with open(path, "rb") as file:
        document = tomllib.load(file)
    if (document["format"], document["version"]) != ("keyward", 1):
        raise Damaged("another format")
    vault, slots = document["vault"], document.get("slot", [])
    entries = [
        (provider, profile, entry)
        for provider, profiles in document.get("entry", {}).items()
        for profile, entry in profiles.items()
    ]
    entries.sort(key=lambda entry: (entry[0].encode(), entry[1].encode()))
    if vault["entries"] != len(entries):
        raise Damaged("entries are missing or too many")
    if len({SLOTS[slot["kind"]](slot) for slot in slots}) != len(slots):
        raise Damaged("two slots for the same key")
    root, vault_id = data_key(slots, identity), vault["id"]
    same(base64_of(hkdf(root, vault_id, "keyward 1 commitment")), vault["commitment"], "the commitment")
    whole = (
        text("keyward 1 vault seal")
        + text(vault_id)
        + number(vault["epoch"])
        + text(vault["cipher"])
        + text(vault["commitment"])
        + items(
            [
                text(slot["label"]) + time(slot["added"]) + text(slot["kind"]) + SLOTS[slot["kind"]](slot) + text(slot["wrapped"])
                for slot in slots
            ]
        )
        + items([text(entry["id"]) + text(provider) + text(profile) + text(entry["seal"]) for provider, profile, entry in entries])
    )
    seal = base64_of(hmac.digest(hkdf(root, vault_id, "keyward 1 vault seal"), whole, "sha256"))
    same(seal, vault["seal"], "the seal of the whole")
    value_key, entry_key = hkdf(root, vault_id, "keyward 1 value"), hkdf(root, vault_id, "keyward 1 entry seal")
    found = {}
    for provider, profile, entry in entries:
        same(entry_seal(entry_key, vault_id, provider, profile, entry), entry["seal"], "the seal of an entry")
        values = dict(entry.get("field", {}))
        for name, sealed in entry.get("secret", {}).items():
            nonce, value = re.fullmatch(r"kw1:([^:]+):([^:]+)", sealed).groups()
            place = [text(part) for part in ("keyward 1 value", vault_id, entry["id"], provider, profile, name, "text")]
            opened = open_xchacha20poly1305(value_key, unbase64(nonce), b"".join(place), unbase64(value))
            values[name] = unpadded(opened)
        found[f"{provider}/{profile}"] = values
    return found


if __name__ == "__main__":
    try:
        json.dump(read(*sys.argv[1:]), sys.stdout)
    except (Damaged, KeyError, TypeError, AttributeError, ValueError) as error:
        print(f"damaged: {error}", file=sys.stderr)
        sys.exit(9)
