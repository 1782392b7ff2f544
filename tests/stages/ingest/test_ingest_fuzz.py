"""A few hundred of the mutated archives and pages of benchmarks/ingest/fuzz_ingest.py, in one process."""

import importlib.util
from pathlib import Path

import pytest

from places import SHARED, needs_shared

WEB = SHARED / "web"
pytestmark = needs_shared


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location(
        "fuzz_ingest", Path(__file__).parents[3] / "benchmarks/ingest/fuzz_ingest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mutated_archives_balance_their_books(fuzz, tmp_path):
    archives, _ = fuzz.sources_of(WEB, tmp_path)
    for seed in range(300):
        fuzz.case("archive", seed, archives)


def test_mutated_pages_neither_crash_nor_hang(fuzz, tmp_path):
    _, pages = fuzz.sources_of(WEB, tmp_path)
    for seed in range(200):
        fuzz.case("page", seed, pages)
