"""Hashes doc_id and a salt to a uniform number in [0, 1): all randomness over documents."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np


def key64(doc_ids: Iterable[str], salt: str) -> np.ndarray:
    """(n,) uint64, independent and uniform over ids for each salt (blake2b-64 keyed with the salt)."""
    return np.frombuffer(_digests(doc_ids, salt, 8), dtype="<u8")


def drawn_order(keys: Sequence[str], salt: str) -> list[str]:
    """The keys by their draws: the first of them are a fair sample, the same one on every look."""
    return [keys[int(i)] for i in np.argsort(key64(keys, salt), kind="stable")]


def key128(doc_ids: Iterable[str], salt: str) -> np.ndarray:
    """(n, 2) uint64, as `key64` of twice the length."""
    return np.frombuffer(_digests(doc_ids, salt, 16), dtype="<u8").reshape(-1, 2)


def _digests(doc_ids: Iterable[str], salt: str, size: int) -> bytes:
    keyed = blake2b(digest_size=size, key=blake2b(salt.encode(), digest_size=32).digest())
    digests = []
    for doc_id in doc_ids:
        one = keyed.copy()  # the key is a block of its own, half of the work
        one.update(doc_id.encode())
        digests.append(one.digest())
    return b"".join(digests)


def uniform(doc_ids: Iterable[str], salt: str) -> np.ndarray:
    """(n,) float64 in [0, 1)."""
    # 53 bits: the largest integers that float64 holds exactly, so the result never rounds up to 1.
    return (key64(doc_ids, salt) >> np.uint64(11)).astype(np.float64) / float(2**53)
