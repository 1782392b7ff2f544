"""How well embedding, clusters and domains find what the labelled texts of domains/en are, and how fast.

    PYTHONPATH=.src python benchmarks/text/cluster.py [--docs 30426] [--seeds 3] [--data FOLDER]

FOLDER/domains/en/<label>.jsonl.zst hold {text, domain, sub, doc_id}; `RIGHT` below names the labels.

Prints agreement of clusters with the 20 labels (normalised mutual information and adjusted Rand index), accuracy of
the zero-shot domains under the mapping below, calibration, documents per second on one thread, and peak memory.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import zstandard
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import FrameCorpus, data_folder

from gristmill.stages.cluster import AssignCluster, Cluster
from gristmill.stages.domain import Domain
from gristmill.stages.embed import Embed, EmbedModel

DATA = data_folder()

# Which of the 26 labels are right for which folder (or folder/sub). Folders whose topic varies from text to text
# (brown_genres, masc_genres, wikipedia, most of government's news) have no single right label and are left out.
RIGHT = {
    "chat_irc": {"Computers_and_Electronics", "Online_Communities"},
    "dialogue_task/Flights": {"Travel_and_Transportation"},
    "dialogue_task/Hotels": {"Travel_and_Transportation"},
    "dialogue_task/Trains": {"Travel_and_Transportation"},
    "dialogue_task/Buses": {"Travel_and_Transportation"},
    "dialogue_task/Movies": {"Arts_and_Entertainment"},
    "dialogue_task/Music": {"Arts_and_Entertainment"},
    "dialogue_task/Media": {"Arts_and_Entertainment"},
    "dialogue_task/Restaurants": {"Food_and_Drink"},
    "dialogue_task/Homes": {"Real_Estate"},
    "dialogue_task/Banks": {"Finance"},
    "dialogue_task/RentalCars": {"Autos_and_Vehicles", "Travel_and_Transportation"},
    "drama": {"Books_and_Literature", "Arts_and_Entertainment"},
    "fiction_books": {"Books_and_Literature"},
    "government/state_union": {"Law_and_Government", "News"},
    "government/inaugural": {"Law_and_Government", "People_and_Society"},
    "legal_license_texts": {"Law_and_Government", "Computers_and_Electronics"},
    "legal_statutes": {"Law_and_Government"},
    "math_latex": {"Science"},
    "math_word_problems": {"Jobs_and_Education", "Science"},
    "medical_leaflets": {"Health"},
    "news/abc rural": {"News", "Business_and_Industrial"},
    "news/abc science": {"News", "Science"},
    "recipes": {"Food_and_Drink"},
    "religious": {"People_and_Society", "Books_and_Literature"},
    "reviews/movie neg": {"Arts_and_Entertainment"},
    "reviews/movie pos": {"Arts_and_Entertainment"},
    "reviews/product": {"Shopping", "Computers_and_Electronics"},
    "science_abstracts": {"Science", "Computers_and_Electronics", "Internet_and_Telecom"},
    "tech_docs": {"Computers_and_Electronics"},
    "textbook_psychology": {"Science", "Health", "People_and_Society", "Jobs_and_Education"},
}


def labelled_texts(docs: int | None) -> pl.DataFrame:
    rows = []
    for path in sorted((DATA / "domains/en").glob("*.jsonl.zst")):
        with zstandard.open(path, "rt", encoding="utf-8", newline="\n") as lines:
            for i, line in enumerate(lines):
                record = json.loads(line)
                sub = str(record["sub"]) if record["domain"] != "dialogue_task" else str(record["sub"]).split("_")[0]
                rows.append((f"{path.name}:{i}", record["text"], record["domain"], f"{record['domain']}/{sub}"))
    frame = pl.DataFrame(rows, schema=["doc_id", "text", "label", "sub"], orient="row")
    frame = frame.sample(n=min(docs or frame.height, frame.height), shuffle=True, seed=0)
    return frame.with_columns(token_count=pl.col("text").str.len_bytes() // 4, language=pl.lit("en"))


def reduce(stage, frame: pl.DataFrame, artifacts: dict[str, Path], base: Path) -> float:
    out = Path(tempfile.mkdtemp(dir=base))
    start = time.perf_counter()
    stage.run(FrameCorpus(list(frame.iter_slices(1000)), artifacts), out)
    artifacts[stage.name] = out
    return time.perf_counter() - start


def annotate(stage, frame: pl.DataFrame, artifacts: dict[str, Path]) -> tuple[pl.DataFrame, float]:
    """The columns and the rows per second, kernels compiled beforehand."""
    run = stage.open(artifacts)
    run(frame.head(2))
    start = time.perf_counter()
    found = run(frame)
    return found, frame.height / (time.perf_counter() - start)


def agreement(labels: pl.Series, clusters: pl.Series) -> str:
    nmi, ari = normalized_mutual_info_score(labels, clusters), adjusted_rand_score(labels, clusters)
    return f"NMI {nmi:.3f}  ARI {ari:.3f}  ({clusters.n_unique()} clusters)"


def balanced(frame: pl.DataFrame) -> pl.DataFrame:
    """At most 600 documents of each label, so that dialogues and word problems do not decide everything."""
    return frame.filter(pl.int_range(pl.len()).over("label") < 600)


def compare_clusters(frame: pl.DataFrame, artifacts: dict[str, Path], base: Path, seeds: int) -> None:
    for linkage in ("ward", "average", "complete", "centroid"):
        for seed in range(seeds):
            stage = Cluster(linkage=linkage, k_final=20, min_tokens_frac=None, seed=seed)
            seconds = reduce(stage, frame, artifacts, base)
            found, rate = annotate(AssignCluster(), frame, artifacts)
            print(
                f"  {linkage:8} seed {seed}  {agreement(frame['label'], found['cluster_id'])}  "
                f"fit {seconds:.1f} s, assign {rate:,.0f} docs/s"
            )


def compare_domains(frame: pl.DataFrame, artifacts: dict[str, Path]) -> None:
    found, rate = annotate(Domain(min_prob=None), frame, artifacts)
    frame = frame.with_columns(found["domain"], found["domain_prob"])
    judged = []
    for name, right in RIGHT.items():
        group = frame.filter(pl.col("sub" if "/" in name else "label") == name)
        if group.height:
            judged.append(group.with_columns(right=pl.col("domain").is_in(sorted(right))))
            top, count = group["domain"].value_counts(sort=True).row(0)
            accuracy = judged[-1]["right"].mean()
            print(f"  {name:28} {group.height:5} docs  accuracy {accuracy:.3f}  most often {top} ({count})")
    every = pl.concat(judged)
    folders = np.mean([g["right"].mean() for g in judged])
    print(f"  mean over folders {folders:.3f}, over documents {every['right'].mean():.3f}; {rate:,.0f} docs/s")
    for low in np.arange(0, 1, 0.2):
        band = every.filter(pl.col("domain_prob").is_between(low, low + 0.2, closed="right"))
        if band.height:
            mean, right = band["domain_prob"].mean(), band["right"].mean()
            print(f"  probability {low:.1f}-{low + 0.2:.1f}: {band.height:6} docs, mean {mean:.3f}, right {right:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dims", type=int, default=128)
    arguments = parser.parse_args()
    frame, artifacts = labelled_texts(arguments.docs), {}
    with tempfile.TemporaryDirectory() as base:
        seconds = reduce(EmbedModel(dims=arguments.dims), frame, artifacts, Path(base))
        vectors, rate = annotate(Embed(), frame, artifacts)
        frame = frame.with_columns(vectors["embedding"])
        size = frame["text"].str.len_bytes().sum() / 1e6
        print(f"{frame.height} documents, {size:.0f} MB; embed.model {seconds:.1f} s, embed {rate:,.0f} docs/s")
        print("clusters against the 20 labels, all documents")
        compare_clusters(frame, artifacts, Path(base), arguments.seeds)
        print("clusters against the 20 labels, at most 600 documents of each")
        compare_clusters(balanced(frame), artifacts, Path(base), arguments.seeds)
        print("zero-shot domains")
        compare_domains(frame, artifacts)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
