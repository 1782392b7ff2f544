"""A run folder in an object store: the same bytes as a local one, whatever the store does and whoever is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from faulty import Faulty

import toy
from gristmill.pipeline.books.seal import check_seal
from gristmill.pipeline.contract.errors import BooksError, DataError, PlanError
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.run.engines.job import Engine, Job, RankFailed, answer_of
from gristmill.pipeline.run.engines.local import LocalEngine, LocalExecutor, Worker
from gristmill.pipeline.run.objects.address import address_of
from gristmill.pipeline.run.objects.bucket import Bucket, Listed, bucket_of
from gristmill.pipeline.run.objects.mirror import Mirror, is_log, is_stub
from gristmill.pipeline.run.objects.reached import run_folder
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.session import LEASE, in_use, locked, read_lease
from gristmill.pipeline.run.store import Store

ADDRESS = "s3://bucket/run"
KILLS = (14, 61)  # requests that write, of some 80


class Quiet(Progress):
    def say(self, line: str) -> None:
        return


def go(folder: Path, out: Path | str, engine: Engine | None = None, min_words: int = 3, **options: dict) -> Store:
    made, store = toy.recipe(folder, gate={"min_words": min_words}, **options), Store(run_folder(out))
    engine = engine or Inline()
    try:
        launch(made, survey(made, store, None), store, engine, None, Quiet(), lambda store, plan: None)
    finally:
        engine.close()
    return store


def results(found: dict[str, bytes]) -> dict[str, bytes]:
    """What must be the same: columns, artifacts, corpus, books."""
    return {name: data for name, data in found.items() if is_result(name)}


def is_result(name: str) -> bool:
    inside = name.startswith(("corpus/", "artifacts/")) and not name.endswith(".receipt.json")
    return inside or name.endswith(".parquet") or name == "ledger.json"


def objects() -> dict[str, bytes]:
    """Name -> bytes of what is in the run's folder in the bucket."""
    import boto3

    client, prefix = boto3.client("s3"), "run/"
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", ())]
    return {key.removeprefix(prefix): client.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=2, lines=10)


@pytest.fixture(scope="module")
def local(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("local") / "run"
    go(lines, out)
    return results(files(out))


class Inline:
    """Ranks one after another in this process."""

    queues = False
    remote = False
    memory: int | None = None

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        executor = LocalExecutor(job, 1)
        for rank in job.ranks:
            if error := answer_of(lambda rank=rank: executor.run_rank(rank)):
                raise RankFailed(error)
        return []

    def close(self) -> None:
        return


class Nodes(LocalEngine):
    """Two processes that share no folder with each other or with the driver: each has mirrors of its own."""

    remote = True

    def __init__(self, place: Path):
        super().__init__(2)
        self.place, self.started = place, 0

    def _start(self) -> Worker:
        self.started += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(self.place / f"node-{self.started}"))
            return super()._start()


def on_another_node(patch: pytest.MonkeyPatch, place: Path) -> None:
    """From here on this process is a node that has never seen the run."""
    patch.setenv("XDG_CACHE_HOME", str(place))


def test_whatever_the_store_answers_a_run_has_the_bytes_of_a_local_one(
    bucket: type[Faulty], lines: Path, local: dict[str, bytes]
):
    bucket.often = 12
    go(lines, ADDRESS)
    bucket.often = 0
    found = objects()
    assert results(found) == local
    assert b"secret-of-the-test" not in b"".join(found.values())
    assert not [name for name in found if name.startswith((".", "logs/")) and name != "logs/progress.json"]
    bucket.seen.clear()
    go(lines, ADDRESS)
    assert len(bucket.seen) <= 12  # nothing to do: the lease, two listings, what every run writes anew
    assert results(objects()) == local


def test_nodes_without_a_shared_folder_give_the_bytes_of_a_local_run(
    bucket: type[Faulty], lines: Path, local: dict[str, bytes], tmp_path: Path
):
    go(lines, ADDRESS, Nodes(tmp_path))
    assert results(objects()) == local
    used = [sum(path.stat().st_size for path in (tmp_path / f"node-{n}").rglob("*.parquet")) for n in (1, 2)]
    assert all(used)
    for n in (1, 2):  # what a node's units do not read is here as a stub only
        assert [p for p in (tmp_path / f"node-{n}").rglob("*.parquet") if is_stub(p.lstat())]


def straight(bucket: type[Faulty], patch: pytest.MonkeyPatch) -> None:
    """From here on nothing stands between this process and the server."""
    patch.setenv("AWS_ENDPOINT_URL", f"http://{bucket.upstream}")
    bucket_of.cache_clear()


class Killed(BaseException):
    """A process is killed: from here on it sends nothing."""


def test_killed_anywhere_and_gone_on_with_elsewhere_gives_the_same_bytes(
    bucket: type[Faulty], lines: Path, local: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another recipe overwrites a finished run, is killed, and another node goes back to the first recipe."""
    straight(bucket, monkeypatch)
    go(lines, ADDRESS)
    for at in KILLS:
        with monkeypatch.context() as patch:
            left = [at]
            for name in ("write", "remove"):
                patch.setattr(Bucket, name, killing(getattr(Bucket, name), left))
            with pytest.raises(Killed):
                go(lines, ADDRESS, min_words=2)
        on_another_node(monkeypatch, tmp_path / str(at))
        Bucket(address_of(ADDRESS)).remove([LEASE])  # as if its holder had been silent for long
        go(lines, ADDRESS)
        assert results(objects()) == local


def killing(do: Callable[..., object], left: list[int]) -> Callable[..., object]:
    """`do`, which kills its process when it was called so often by any of its threads but the one that beats."""

    def call(bucket: Bucket, what: object, *more: object) -> object:
        left[0] -= what != LEASE
        if left[0] > 0:
            return do(bucket, what, *more)
        if what == LEASE:
            return None
        raise Killed

    return call


@pytest.mark.parametrize("at", [1, 5])
def test_a_look_that_breaks_off_is_made_good_by_the_next_one(
    bucket: type[Faulty], lines: Path, local: dict[str, bytes], at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    straight(bucket, monkeypatch)
    go(lines, ADDRESS)
    on_another_node(monkeypatch, tmp_path / "other")
    mirror = Mirror.at(address_of(ADDRESS))
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "fetch", killing(Bucket.fetch, [at]))
        with pytest.raises(Killed):
            mirror.look(alone=False)
    changed = sorted(name for name in objects() if is_log(name))
    for name in changed:
        mirror.bucket.write(name, objects()[name] + b"torn")
    mirror.look(alone=False)
    assert all((mirror.root / name).read_bytes().endswith(b"torn") for name in changed)
    store = Store(mirror.root)
    assert all(store.receipt("words", Path(name).stem) for name in local if name.startswith("words/"))
    store.whole(store.root)
    assert results(files(store.root)) == local


def test_what_is_put_anew_or_removed_while_a_node_looks_is_no_error(
    bucket: type[Faulty], lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    straight(bucket, monkeypatch)
    go(lines, ADDRESS)
    on_another_node(monkeypatch, tmp_path / "other")
    mirror = Mirror.at(address_of(ADDRESS))
    first, second, *_ = sorted(name for name in objects() if is_log(name))
    listed = Bucket.list

    def then(self: Bucket, retry: Retry) -> dict[str, Listed]:
        found = listed(self, retry)
        self.write(first, objects()[first] + b"torn")
        self.remove([second])
        return found

    monkeypatch.setattr(Bucket, "list", then)
    mirror.look(alone=False)
    assert (mirror.root / first).read_bytes().endswith(b"torn")
    assert not (mirror.root / second).exists()


def test_a_changed_object_is_noticed_where_it_is_read_and_made_anew(
    bucket: type[Faulty], lines: Path, local: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    straight(bucket, monkeypatch)
    go(lines, ADDRESS)
    name = next(name for name in sorted(local) if name.startswith("words/"))
    data = bytearray(local[name])
    data[len(data) // 2] ^= 1
    Bucket(address_of(ADDRESS)).write(name, bytes(data))
    on_another_node(monkeypatch, tmp_path / "other")
    with pytest.raises(BooksError, match=rf"{name} was changed after the run"):
        check_seal(Store(run_folder(ADDRESS)))
    on_another_node(monkeypatch, tmp_path / "third")
    with pytest.raises(DataError, match=rf"{ADDRESS}/{name} was changed; run again"):
        Store(run_folder(ADDRESS)).read("words", Path(name).stem, ())
    go(lines, ADDRESS)
    assert results(objects()) == local
    check_seal(Store(run_folder(ADDRESS)))


def test_a_second_command_is_refused_while_the_first_gives_signs_of_life(
    bucket: type[Faulty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = Mirror.at(address_of(ADDRESS))
    with locked(first.root):
        assert in_use(first.root)
        on_another_node(monkeypatch, tmp_path / "other")
        other = Mirror.at(address_of(ADDRESS)).root
        with pytest.raises(PlanError, match=rf"{ADDRESS} is in use by another run \(process"), locked(other):
            pass
    assert read_lease(other) is None


def test_nodes_that_share_no_folder_share_the_rounds_of_a_reducer(bucket: type[Faulty], lines: Path, tmp_path: Path):
    log, shared = tmp_path / "log", {"asks": 3, "bound": 5}
    go(lines, ADDRESS, Nodes(tmp_path), ranking={**shared, "log": str(log)})
    go(lines, tmp_path / "run", ranking={"asks": 3})
    assert results(objects()) == results(files(tmp_path / "run"))
    assert len(log.read_text().split()) == len(set(log.read_text().split()))
    assert not [name for name in objects() if ".taken/" in name]
