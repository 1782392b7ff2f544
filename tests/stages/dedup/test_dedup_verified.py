"""dedup.verify: a near-duplicate leaves only where the words of both texts say so."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_dedup_index import go
from test_dedup_minhash import documents, groups, shingles_of

from frames import doc_id, records
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.kernels.numbers.shingle_sets import elect_exact, jaccards
from gristmill.pipeline.recipe import make_recipe
from gristmill.stages.dedup.near import NearDuplicates, Verified

VERIFIED = NearDuplicates(min_similarity=0.7, verified=Verified(verify=True))


def exact(p: str, q: str) -> float:
    a, b = shingles_of(p), shingles_of(q)
    return len(a & b) / len(a | b)


def made_cloud(n: int = 150) -> dict[str, str]:
    """Texts that keep a part of the same text each: pairs of all similarities."""
    rng = np.random.default_rng(3)
    base = [f"w{v}" for v in rng.integers(0, 50_000, 200)]
    found = {}
    for i in range(n):
        edits, at = int(rng.integers(0, 40)), int(rng.integers(0, 160))
        found[f"t{i}"] = " ".join([*base[:at], *(f"e{v}" for v in rng.integers(0, 50_000, edits)), *base[at + edits :]])
    return found


def check_precision(texts: dict[str, str], folder: Path) -> tuple[int, int]:
    """Every text that leaves is as similar as asked to the one that stays; how many leave, and how many of those that
    leave by their signatures are not."""
    frame = documents([(name, text, False) for name, text in texts.items()])
    text = {doc_id(name): text for name, text in texts.items()}
    found = groups([frame], folder / "verified", stage=VERIFIED)
    losers = found.drop_nulls("near_duplicate_of").select("doc_id", "near_duplicate_of", "near_similarity")
    for loser, winner, similarity in losers.iter_rows():
        assert similarity >= 0.7
        assert similarity == pytest.approx(exact(text[loser], text[winner]), abs=1e-9)
    plain = groups([frame], folder / "plain", stage=NearDuplicates(min_similarity=0.7)).drop_nulls("near_duplicate_of")
    wrong = [exact(text[a], text[b]) < 0.7 for a, b in plain.select("doc_id", "near_duplicate_of").iter_rows()]
    return losers.height, sum(wrong)


def test_of_made_texts_every_one_that_leaves_is_as_similar_as_asked(tmp_path: Path):
    leave, wrong = check_precision(made_cloud(), tmp_path)
    assert leave > 50
    assert wrong > 3  # signatures alone take some that are not


def test_of_licence_variants_every_one_that_leaves_is_as_similar_as_asked(shared: Path, tmp_path: Path):
    texts = {r["id"]: r["text"] for r in records(shared / "dedup" / "license_variant_texts.jsonl.zst")}
    some = dict(sorted(texts.items())[:900])
    leave, wrong = check_precision({k: v for k, v in some.items() if shingles_of(v) != {()}}, tmp_path)
    assert leave > 100
    assert wrong > 10


def test_exact_election_equals_a_plain_greedy_choice():
    rng = np.random.default_rng(0)
    sets = [np.unique(rng.integers(0, 12, int(rng.integers(0, 9)))).astype(np.uint64) for _ in range(60)]
    parent = np.sort(rng.integers(0, 5, 60)) * 12
    stay = rng.random(60) < 0.1
    offsets = np.concatenate([[0], np.cumsum([s.size for s in sets])])
    standing = elect_exact(parent, np.concatenate(sets), offsets, 0.5, stay)

    def similarity(a: np.ndarray, b: np.ndarray) -> float:
        both = set(a.tolist()) | set(b.tolist())
        return len(set(a.tolist()) & set(b.tolist())) / len(both) if both else 0.0

    want: list[int] = []
    for i in range(60):
        leaders = [j for j in range(i) if want[j] == j and parent[j] == parent[i]]
        like = [j for j in leaders if similarity(sets[i], sets[j]) >= 0.5]
        want.append(like[0] if like and not stay[i] else i)
    assert standing.tolist() == want
    alike = [similarity(sets[i], sets[j]) for i, j in enumerate(want)]
    assert jaccards(np.concatenate(sets), offsets, standing).tolist() == pytest.approx(alike)


def test_a_run_of_verified_texts_names_the_exact_similarity_also_across_runs(tmp_path: Path):
    cloud = made_cloud(40)
    for i, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        rows = [{"text": t, "url": f"http://{name}/{k}"} for k, t in list(cloud.items())[i::2]]
        (tmp_path / name / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = {"verify": True, "minhash": {"min_similarity": 0.7}}
    first = go(tmp_path / "a", tmp_path / "idx", tmp_path / "run-a", **settings)
    then = go(tmp_path / "b", tmp_path / "idx", tmp_path / "run-b", **settings)
    url_of = {r["doc_id"]: u for u, r in (first | then).items()}
    rules = set()
    for url, row in (first | then).items():
        if str(row["rule"]).startswith("near"):
            rules.add(row["rule"])
            one, other = (cloud[u.rpartition("/")[2]] for u in (url, url_of[row["stays_doc_id"]]))
            assert row["similarity"] == pytest.approx(exact(one, other), abs=1e-9)
            assert row["similarity"] >= 0.7
    assert rules == {"near_duplicate", "near_duplicate_of_older"}
    with pytest.raises(ConfigError, match=r"idx was made with dedup.verify = true, this run has dedup.verify = false"):
        go(tmp_path / "b", tmp_path / "idx", tmp_path / "run-c")


def test_verify_without_a_similarity_is_refused():
    with pytest.raises(ConfigError, match=r"dedup.verify: true .* dedup.minhash.min_similarity, which is null"):
        make_recipe({"dedup": {"verify": True, "minhash": {"min_similarity": None}}}, "x")
