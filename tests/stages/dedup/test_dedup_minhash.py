"""dedup.signatures and dedup.minhash: signatures against a plain twin and theory, groups, survivors, spilling."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dedup_hashing import M64, mix64, token_hash, tokens_of

from frames import HOSTILE, doc_id, exchanged, records, splits
from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.kernels.numbers.minhash import (
    elect,
    flatten,
    from_binary,
    multipliers,
    pack,
    signatures,
    similarity,
    to_binary,
    unite,
)
from gristmill.pipeline.kernels.text.hashing import code_points, utf8
from gristmill.stages.dedup.components import Components
from gristmill.stages.dedup.minhash import Scheme, Signatures
from gristmill.stages.dedup.near import NearDuplicates, NearGate

NO_TEXTS = pl.DataFrame(
    schema={"doc_id": pl.String, "text": pl.String, "language": pl.String, "is_held_out": pl.Boolean}
)


def values_of(texts: Sequence[str], scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    data, offsets = utf8(pl.Series(texts, dtype=pl.String))
    factors, addends = multipliers(scheme.bands * scheme.rows, scheme.seed)
    return signatures(data, offsets, code_points(), scheme.word_ngram, scheme.char_ngram, factors, addends)


def twin(text: str, scheme: Scheme) -> list[int]:
    """Minimum over the shingles of factor * h + addend mod 2^64, for every pair of factor and addend."""
    tokens = [(token_hash(t), s) for t, s in tokens_of(text, symbols=False)]
    spans = [(i, i + (scheme.char_ngram if s else scheme.word_ngram)) for i, (_, s) in enumerate(tokens)]
    whole = [(a, b) for n, (a, b) in enumerate(spans) if b <= len(tokens)]
    if spans and spans[0] not in whole:
        whole.append((0, len(tokens)))
    hashes = []
    for a, b in whole:
        h = 0
        for token, _ in tokens[a:b]:
            h = h * 0x9E3779B97F4A7C15 + token & M64
        hashes.append(mix64(h))
    factors, addends = multipliers(scheme.bands * scheme.rows, scheme.seed)
    return [
        min((h * f + a & M64 for h in hashes), default=M64)
        for f, a in zip(factors.tolist(), addends.tolist(), strict=True)
    ]


@given(
    text=st.one_of(
        st.text(max_size=80), st.lists(st.sampled_from(["ab", "c", "中", "ก", "é"]), max_size=30).map(" ".join)
    )
)
@settings(max_examples=150, deadline=None)
def test_signatures_of_any_text_equal_the_plain_twin(text):
    scheme = Scheme(word_ngram=3, char_ngram=4, bands=2, rows=3)
    values, shingles = values_of([text], scheme)
    assert values[0].tolist() == twin(text, scheme)
    assert (shingles[0] > 0) == bool(tokens_of(text, symbols=False))


def test_pack_holds_band_keys_and_a_byte_of_every_value():
    values, _ = values_of(["one two three four five six", "other words"], Scheme(bands=2, rows=3))
    packed = pack(values, 2)
    for row, stored in zip(values.tolist(), packed, strict=True):
        keys = []
        for b in range(2):
            key = b
            for v in row[3 * b : 3 * b + 3]:
                key = mix64(key ^ v)
            keys.append(key)
        assert stored[:16].view("<u8").tolist() == keys
        assert stored[16:].tolist() == [mix64(v) & 0xFF for v in row]


def test_signatures_column_is_row_local_typed_and_null_without_words():
    batch = pl.DataFrame({"doc_id": [doc_id(str(i)) for i in range(len(HOSTILE))], "text": HOSTILE})
    annotate = Signatures().open({})
    whole = annotate(batch)
    assert whole.to_arrow().cast(arrow_schema(whole.columns)).schema == arrow_schema(["doc_id", "minhash"])
    assert whole["minhash"].is_null().to_list() == [not tokens_of(t[:1000], symbols=False) for t in HOSTILE]
    assert set(whole["minhash"].drop_nulls().bin.size()) == {Scheme().width} == {224}
    for frames in splits(batch):
        assert pl.concat([annotate(f) for f in frames]).equals(whole)
    assert annotate(batch[:0]).schema == whole.schema


def test_binary_columns_round_trip_and_reject_another_width():
    packed = np.arange(12, dtype=np.uint8).reshape(3, 4)
    series = to_binary(packed, np.array([True, False, True]))
    assert series.to_list() == [bytes(range(4)), None, bytes(range(8, 12))]
    assert from_binary(series.drop_nulls(), 4).tolist() == packed[[0, 2]].tolist()
    with pytest.raises(ValueError, match="5 bytes"):
        from_binary(series.drop_nulls(), 5)


def pairs_of(shared: Path, kind: str) -> tuple[list[str], list[str], np.ndarray]:
    """Texts a, texts b and exact Jaccard similarity of pairs that share no text with each other; all have words."""
    names, texts, key = {
        "web": ("web_pairs", "web_pair_texts", "sha1"),
        "license": ("license_variant_pairs", "license_variant_texts", "id"),
    }[kind]
    text = {r[key]: r["text"] for r in records(shared / "dedup" / f"{texts}.jsonl.zst")}
    used: set[str] = set()
    chosen = []
    for pair in records(shared / "dedup" / f"{names}.jsonl.zst"):
        if not used & {pair["a"], pair["b"]} and shingles_of(text[pair["a"]]) != {()} != shingles_of(text[pair["b"]]):
            used |= {pair["a"], pair["b"]}
            chosen.append((text[pair["a"]], text[pair["b"]], pair["jaccard5"]))
    a, b, jaccard = zip(*chosen, strict=True)
    return list(a), list(b), np.array(jaccard)


def shingles_of(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


@pytest.mark.parametrize("kind", ["web", "license"])
def test_candidates_among_real_pairs_follow_the_theory_of_bands(shared, kind):
    follow_the_theory(*pairs_of(shared, kind))


def test_candidates_among_made_pairs_follow_the_theory_of_bands():
    follow_the_theory(*made_pairs())


def made_pairs(n: int = 220) -> tuple[list[str], list[str], np.ndarray]:
    """Texts of which the second keeps a beginning of the first, with their exact Jaccard similarity: 0 to 1."""
    rng = np.random.default_rng(5)
    a, b, jaccard = [], [], []
    for i in range(n):
        words = [f"w{v}" for v in rng.integers(0, 50_000, 120)]
        kept = round(120 * (i % 11) / 10)
        other = words[:kept] + [f"v{v}" for v in rng.integers(0, 50_000, 120 - kept)]
        a.append(" ".join(words))
        b.append(" ".join(other))
        p, q = shingles_of(a[-1]), shingles_of(b[-1])
        jaccard.append(len(p & q) / len(p | q))
    return a, b, np.array(jaccard)


def follow_the_theory(a: list[str], b: list[str], jaccard: np.ndarray) -> None:
    """The share of pairs that meet in a band is 1 - (1 - J^8)^14 within four standard errors, per tenth of J.

    Ten independent seeds of the hash functions; the standard error is the binomial one of all of them.
    """
    meet = np.zeros((10, len(a)), bool)
    estimate = np.zeros((10, len(a)))
    for seed in range(10):
        packed, _ = Scheme(seed=seed).pack(pl.Series(a + b))
        keys = packed[:, :112].reshape(2, len(a), 14, 8)
        meet[seed] = (keys[0] == keys[1]).all(axis=2).any(axis=1)
        same = (packed[: len(a), 112:] == packed[len(a) :, 112:]).sum(axis=1)
        estimate[seed] = similarity(same, 112)
    theory = 1 - (1 - jaccard**8) ** 14
    for tenth in range(11):
        rows = np.round(jaccard * 10) == tenth
        if rows.any():
            error = np.sqrt((theory * (1 - theory))[rows].sum() * 10) / (10 * rows.sum())
            assert abs(meet[:, rows].mean() - theory[rows].mean()) <= 4 * error + 0.002, (tenth, rows.sum())
    assert meet[:, jaccard == 1].all()
    assert not meet[:, jaccard == 0].any()
    # The stored bytes estimate the similarity without bias and with the error of 112 values (0.047 at J = 0.5).
    assert abs(float((estimate - jaccard).mean())) < 0.01
    assert float(np.sqrt(((estimate - jaccard) ** 2).mean())) < 0.05


def test_exact_jaccard_of_the_shared_pairs_is_that_of_five_word_shingles(shared):
    """So `jaccard5` and the stage's shingles mean the same."""
    a, b, jaccard = pairs_of(shared, "license")
    for x, y, j in list(zip(a, b, jaccard, strict=True))[:300]:
        p, q = shingles_of(x), shingles_of(y)
        assert len(p & q) / len(p | q) == pytest.approx(j, abs=1e-4)


def base_text(n: int, words: int = 200) -> str:
    rng = np.random.default_rng(n)
    return " ".join(f"w{v}" for v in rng.integers(0, 10_000, words))


def documents(rows: list[tuple[str, str, bool]], copies: int = 1) -> pl.DataFrame:
    """Rows of (name, text, is_held_out), with their signatures."""
    frame = pl.DataFrame(
        {
            "doc_id": [doc_id(name) for name, _, _ in rows],
            "text": [text for _, text, _ in rows],
            "is_held_out": [held for _, _, held in rows],
            "exact_copies_n": [copies] * len(rows),
        },
        schema={"doc_id": pl.String, "text": pl.String, "is_held_out": pl.Boolean, "exact_copies_n": pl.Int64},
    )
    nowhere = [pl.lit(None, pl.String).alias(name) for name in ("url", "dump", "exact_hosts", "exact_dumps")]
    return frame.with_columns(nowhere).hstack(Signatures().open({})(frame).drop("doc_id"))


def groups(
    frames: list[pl.DataFrame],
    out: Path,
    given_texts: pl.DataFrame = NO_TEXTS,
    stage: NearDuplicates | None = None,
    **options: int,
) -> pl.DataFrame:
    """Runs both groupings, each frame a bundle of its own; the rows of all frames."""
    for folder in (out / "references", out / "components", out / "near"):
        folder.mkdir(parents=True)
    given_texts.write_parquet(out / "references" / "texts.parquet")
    near, needs = replace(stage or NearDuplicates(), keep=()), {"dedup.references": out / "references"}
    first = Components(near.scheme)
    extra = first.extra(needs)
    bundles = [[f] for f in frames]
    joined, of_extra = exchanged(first, bundles, out / "components", extra, **options)
    assert of_extra is not None
    frames = [f.hstack(c.drop("doc_id")) for f, c in zip(frames, joined, strict=True)]
    extra = near.extra(needs).join(of_extra, on="doc_id", how="left", maintain_order="left")
    return pl.concat(exchanged(near, [[f] for f in frames], out / "near", extra, **options)[0])


CHAIN = [(f"c{i}", base_text(0) + f" tail{i} of the text", False) for i in range(4)]
ROWS = [*CHAIN, *((f"s{i}", base_text(i), False) for i in range(1, 30)), ("empty", "", False), ("marks", "?!", False)]


def test_near_duplicates_keep_the_smallest_draw_and_count_copies(tmp_path):
    annotated = groups([documents(ROWS, copies=3)], tmp_path)
    assert annotated.to_arrow().cast(arrow_schema(annotated.columns)).num_rows == len(ROWS)
    ids = [doc_id(name) for name, _, _ in CHAIN]
    best = min(ids, key=lambda i: key64([i], "dedup")[0])
    assert annotated["near_duplicate_of"].to_list() == [None if i == best else best for i in ids] + [None] * (
        len(ROWS) - 4
    )
    assert annotated["minhash_cluster_size"].to_list() == [12] * 4 + [3] * (len(ROWS) - 4)
    assert NearGate().decide(annotated).drop_nulls().to_list() == ["near_duplicate"] * 3


def test_near_duplicates_keep_the_held_out_document(tmp_path):
    rows = [(name, text, name == "c2") for name, text, _ in ROWS]
    annotated = groups([documents(rows)], tmp_path)
    assert annotated["near_duplicate_of"][:4].to_list() == [doc_id("c2")] * 2 + [None] + [doc_id("c2")]


def test_near_duplicates_of_a_given_held_out_text_leave_and_of_a_training_text_stay(tmp_path):
    given_texts = pl.DataFrame(
        {
            "doc_id": ["reference-1", "reference-2", "reference-3"],
            "text": [base_text(1) + " end", base_text(2) + " end", ""],
            "language": [None, None, None],
            "is_held_out": [True, False, True],
        },
        schema=NO_TEXTS.schema,
    )
    annotated = groups([documents(ROWS)], tmp_path, given_texts)
    of = dict(annotated.select("doc_id", "near_duplicate_of").iter_rows())
    assert of[doc_id("s1")] == "reference-1"
    assert of[doc_id("s2")] is None
    assert annotated["near_duplicate_of"].null_count() == len(ROWS) - 4


def test_near_duplicates_are_the_same_for_any_order_bundles_partitions_and_memory(tmp_path):
    frame = documents(ROWS)
    want = groups([frame], tmp_path / "a").sort("doc_id")
    for n, frames in enumerate(
        [*splits(frame), splits(frame.reverse())[2], [frame[:0], frame.sample(frame.height, shuffle=True, seed=1)]]
    ):
        partitions, memory = [(1, 1 << 30), (8, 1 << 14), (64, 1 << 30)][n % 3]
        found = groups(frames, tmp_path / str(n), partitions=partitions, memory=memory)
        assert found.sort("doc_id").equals(want)


def test_near_duplicates_of_no_documents_are_none(tmp_path):
    assert groups([documents([])], tmp_path).height == 0


def test_documents_stand_for_those_they_are_like_not_for_the_whole_chain(tmp_path):
    """A text whose words slide out of a window: neighbours are alike, the ends have nothing in common."""
    words = base_text(0, 1000).split()
    rows = [(f"{i:02}", " ".join(words[10 * i : 10 * i + 300]), False) for i in range(40)]
    frame = documents(rows)
    whole = groups([frame], tmp_path / "whole", stage=NearDuplicates(min_similarity=None))
    assert whole["near_duplicate_of"].null_count() == 1
    parts = groups([frame], tmp_path / "parts", stage=NearDuplicates(min_similarity=0.6))
    text = {doc_id(name): text for name, text, _ in rows}
    alike = [
        len(p & q) / len(p | q)
        for p, q in (
            (shingles_of(text[d]), shingles_of(text[s]))
            for d, s in parts.select("doc_id", "near_duplicate_of").iter_rows()
            if s
        )
    ]
    assert min(alike) > 0.5
    survivors = parts.filter(pl.col("near_duplicate_of").is_null())["doc_id"]
    assert set(parts["near_duplicate_of"].drop_nulls()) <= set(survivors)
    assert 3 <= len(survivors) < 20
    assert parts.filter(pl.col("near_duplicate_of").is_null())["minhash_cluster_size"].sum() == 40
    previous = 0
    for limit in (0.0, 0.2, 0.4, 0.8, 1.0):
        kept = groups([frame], tmp_path / str(limit), stage=NearDuplicates(min_similarity=limit))
        assert kept["near_duplicate_of"].null_count() >= previous
        previous = kept["near_duplicate_of"].null_count()


@given(
    band=st.lists(st.lists(st.integers(0, 5), min_size=12, max_size=12), min_size=1, max_size=3),
    values=st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=12, max_size=12),
    min_matching=st.integers(1, 4),
    fixed=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=100, deadline=None)
def test_elected_documents_equal_a_plain_greedy_choice(band, values, min_matching, fixed):
    parent = np.arange(12)
    for keys in band:
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(np.diff(np.array(keys)[order]) == 0)
        unite(order[same], order[same + 1], np.arange(12, dtype=np.uint64), parent)
    flatten(parent)
    sets: list[set[int]] = [{i} for i in range(12)]
    for keys in band:
        for i in range(12):
            for j in range(i):
                if keys[i] == keys[j] and sets[i] is not sets[j]:
                    sets[i] |= sets[j]
                    for k in sets[i]:
                        sets[k] = sets[i]
    assert parent.tolist() == [min(s) for s in sets]
    rows, stay = np.arange(12)[::-1].copy(), np.array(fixed)
    fingerprints = np.array(values, np.uint8)
    order = np.argsort(parent, kind="stable")
    elected = np.empty(12, np.int64)
    elected[order] = order[elect(parent[order], fingerprints[rows][order], min_matching, stay[order])]
    stands: list[int] = []
    for i in range(12):
        if stay[i]:
            stands.append(i)
            continue
        same = [j for j in range(i) if stands[j] == j and j in sets[i]]
        near = [j for j in same if (fingerprints[rows[j]] == fingerprints[rows[i]]).sum() >= min_matching]
        stands.append(near[0] if near else i)
    assert elected.tolist() == stands


def test_signatures_of_another_scheme_are_refused(tmp_path):
    with pytest.raises(DataError, match="one scheme"):
        groups([documents(ROWS)], tmp_path, stage=NearDuplicates(Scheme(bands=9)))


def test_web_pages_that_repeat_an_address_or_text_are_found(shared, tmp_path):
    """The shared web pairs as a corpus: every pair of J >= 0.95 ends in one cluster, no pair of J = 0 does."""
    texts = records(shared / "dedup" / "web_pair_texts.jsonl.zst")
    annotated = groups([documents([(r["sha1"], r["text"], False) for r in texts])], tmp_path)
    survivor = {name: of or name for name, of in annotated.select("doc_id", "near_duplicate_of").iter_rows()}
    together = {True: [], False: []}
    for pair in records(shared / "dedup" / "web_pairs.jsonl.zst"):
        if pair["jaccard5"] >= 0.95 or pair["jaccard5"] == 0:
            same = survivor[doc_id(pair["a"])] == survivor[doc_id(pair["b"])]
            together[pair["jaccard5"] > 0].append(same)
    assert len(together[True]) == 99
    assert all(together[True])
    assert len(together[False]) == 482
    assert not any(together[False])


def test_made_pages_that_repeat_a_text_are_found(tmp_path):
    a, b, jaccard = made_pairs()
    names = [(f"a{i}", f"b{i}") for i in range(len(a))]
    rows = [(name, text, False) for pair, texts in zip(names, zip(a, b, strict=True), strict=True)
            for name, text in zip(pair, texts, strict=True)]  # fmt: skip
    annotated = groups([documents(rows)], tmp_path)
    survivor = {name: of or name for name, of in annotated.select("doc_id", "near_duplicate_of").iter_rows()}
    same = np.array([survivor[doc_id(x)] == survivor[doc_id(y)] for x, y in names])
    assert same[jaccard >= 0.95].all()
    assert not same[jaccard == 0].any()
