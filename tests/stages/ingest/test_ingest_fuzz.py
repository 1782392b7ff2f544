"""A few hundred of the mutated archives and pages of benchmarks/ingest/fuzz_ingest.py, in one process."""

import importlib.util
from pathlib import Path

import pytest

from places import SHARED, needs_shared

WEB = SHARED / "web"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location(
        "fuzz_ingest", Path(__file__).parents[3] / "benchmarks/ingest/fuzz_ingest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archives(fuzz, web: Path, folder: Path, seeds: int) -> None:
    found, _ = fuzz.sources_of(web, folder)
    assert len(found) > 3
    for seed in range(seeds):
        fuzz.case("archive", seed, found)


def pages(fuzz, web: Path, folder: Path, seeds: int) -> None:
    _, found = fuzz.sources_of(web, folder)
    assert len(found) > 30
    for seed in range(seeds):
        fuzz.case("page", seed, found)


@needs_shared
def test_mutated_archives_balance_their_books(fuzz, tmp_path):
    archives(fuzz, WEB, tmp_path, 300)


@needs_shared
def test_mutated_pages_neither_crash_nor_hang(fuzz, tmp_path):
    pages(fuzz, WEB, tmp_path, 200)


def test_mutated_demo_archives_balance_their_books(fuzz, demo_shard, tmp_path):
    archives(fuzz, demo_shard.parent, tmp_path, 100)


def test_mutated_demo_pages_neither_crash_nor_hang(fuzz, demo_shard, tmp_path):
    pages(fuzz, demo_shard.parent, tmp_path, 100)
