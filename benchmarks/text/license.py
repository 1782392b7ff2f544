"""Precision and recall of the licence stage on hand-labelled pages with Creative Commons links, and on weak labels.

    PYTHONPATH=.src python benchmarks/text/license.py [--errors] [--data FOLDER]

FOLDER/web/CC-MAIN-shard-*.warc.gz are the pages; FOLDER/license/web_cc_pages.{open,other}.jsonl.zst have url, scope,
page_license and note of hand-labelled ones, FOLDER/license/web_*.jsonl.zst target_uri of weakly labelled ones.

A page counts as found right if license is page_license exactly (version and port included). Precision is over the
pages for which a licence is given; the weak sets are pages of web/ whose host is a US federal one, or that say that all
rights are reserved somewhere in their source.
"""

import argparse
import io
import json
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import data_folder

from gristmill.classifiers.license.names import RESERVED
from gristmill.stages.ingest import Ingest
from gristmill.stages.license import License, LicenseGate

DATA = data_folder()
PERMISSIVE = LicenseGate(
    unknown="drop", noncommercial="drop", no_derivatives="drop", reserved="drop", contested="drop", copyleft="drop"
)


def lines(path: Path) -> list[dict]:
    with path.open("rb") as f:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), "utf-8").read()
    return [json.loads(line) for line in text.split("\n") if line]


def documents() -> pl.DataFrame:
    """What ingest makes of web/, one document a URL."""
    source = Ingest(paths=(str(DATA / "web/CC-MAIN-shard-*.warc.gz"),))
    frames = [source.run(part)[0].select("doc_id", *License.reads["ingest"]) for part in source.parts()]
    return pl.concat(frames).unique("url", keep="first", maintain_order=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--errors", action="store_true")
    args = parser.parse_args()
    annotate = License().open({})
    docs = documents()
    start = time.process_time()
    found = docs.select("doc_id", "url").hstack(annotate(docs).drop("doc_id"))
    print(f"{len(docs)} documents of web/, {len(docs) / (time.process_time() - start):.0f} documents/s")
    gold = pl.DataFrame(
        [
            {name: row[name] for name in ("url", "scope", "page_license", "note")}
            for kind in ("open", "other")
            for row in lines(DATA / f"license/web_cc_pages.{kind}.jsonl.zst")
        ]
    ).unique("url", keep="first", maintain_order=True)
    got = gold.join(found, on="url", how="inner", maintain_order="left")
    got = got.with_columns(
        kept=PERMISSIVE.decide(got).is_null(),
        open=pl.col("page_license").is_not_null() & ~pl.col("page_license").fill_null("").str.contains("-N[CD]"),
        given=pl.col("license").is_not_null() & (pl.col("license") != RESERVED),
        right=(pl.col("page_license") == pl.col("license")).fill_null(False),
    )
    wanted, given, right = got["page_license"].count(), got["given"].sum(), got["right"].sum()
    print(f"web_cc_pages: {len(got)} of {len(gold)} pages, {wanted} with a page licence")
    print(f"  exact: precision {right}/{given} = {right / given:.3f}, recall {right}/{wanted} = {right / wanted:.3f}")
    both, kept, open_ = (got["kept"] & got["open"]).sum(), got["kept"].sum(), got["open"].sum()
    print(
        f"  permissive policy: precision {both}/{kept} = {both / kept:.3f}, recall {both}/{open_} = {both / open_:.3f}"
    )
    if args.errors:
        odd = got.filter(
            (pl.col("given") & ~pl.col("right"))
            | (pl.col("page_license").is_not_null() & ~pl.col("right"))
            | (pl.col("kept") != pl.col("open"))
        )
        for row in odd.iter_rows(named=True):
            print(
                "   ",
                *(
                    row[k]
                    for k in ("scope", "page_license", "license", "license_tier", "license_evidence", "url", "note")
                ),
            )
    for name, tier in (("us_federal", "government"), ("all_rights_reserved", "reserved"), ("no_statement", "unknown")):
        urls = pl.DataFrame({"url": [row["target_uri"] for row in lines(DATA / f"license/web_{name}.jsonl.zst")]})
        part = found.join(urls.unique(), on="url", how="semi")
        kept = part.filter(PERMISSIVE.decide(part).is_null())
        print(f"web_{name}: {len(part)} pages, {len(kept)} kept by the permissive policy")
        print("  tiers:", dict(Counter(part["license_tier"].to_list()).most_common()))
        print("  licences:", dict(Counter(part["license"].to_list()).most_common(8)))
        if args.errors:
            shown = kept if tier != "government" else part.filter(pl.col("license_tier") != tier)
            for row in shown.head(40).iter_rows(named=True):
                print("   ", *(row[k] for k in ("url", "license", "license_tier", "license_evidence")))


if __name__ == "__main__":
    main()
