"""Uploads a finished run's corpus folder to a dataset repository of the Hugging Face hub (the `push` command).

`HfApi.upload_folder` sends it in several commits and goes on where it was interrupted (huggingface_hub with hf_xet).
"""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.pipeline.books.seal import SEAL
from gristmill.pipeline.books.stopped import headline
from gristmill.pipeline.books.verify import verify
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.errors import BooksError, ConfigError, DataError, GristmillError
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.failures import failures
from gristmill.pipeline.run.shards import corpus_folder
from gristmill.pipeline.run.store import Store

CARD = "README.md"
SHARDS = "*-of-*"  # files of the repository that go when the corpus has them no more: shards of an earlier push


class PushFailed(GristmillError):
    """The hub did not take it."""


def push_command(a: Namespace) -> int:
    """Says what is sent and, without --dry-run, sends it."""
    from huggingface_hub import HfApi, get_token

    if not a.run.is_dir():
        raise ConfigError(f"no run folder {a.run}")
    store = Store(a.run)
    check_name(a.to)
    refuse_unfinished(store)
    plan = load_plan(store.root / "plan.json")
    found = verify(store, plan)
    api = HfApi()
    say([*found, "", *manifest(corpus_folder(store), f"{api.endpoint}/datasets/{a.to}", a.public)])
    if a.dry_run:
        say("dry run: nothing was sent; without --dry-run it is")
        return 0
    if get_token() is None:
        raise ConfigError("no token of the Hugging Face hub: hf auth login, or the environment variable HF_TOKEN")
    with told_in_one_line(a.to):
        api.create_repo(a.to, repo_type="dataset", private=not a.public, exist_ok=True)
        done = api.upload_folder(
            repo_id=a.to,
            repo_type="dataset",
            folder_path=corpus_folder(store),
            delete_patterns=SHARDS,
            commit_message=f"Corpus of gristmill run {plan.config_digest}",
        )
    say(f"sent       {done.commit_url}")
    return 0


def check_name(to: str) -> None:
    """Raises ConfigError for what is no user/name."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(to)
        wrong = "" if to.count("/") == 1 else "write user/name"
    except HFValidationError as error:
        wrong = str(error)
    if wrong:
        raise ConfigError(f"--to {to}: {wrong}")


def refuse_unfinished(store: Store) -> None:
    """Raises BooksError for a run that stopped, whose parts failed, or that has no corpus."""
    stop = headline(store)
    if stop or not (store.root / SEAL).is_file():
        why = stop[0] if stop else f"{store.root} has no {SEAL}: its run has not come to its end"
        raise BooksError(f"{why}; only a finished run is pushed: run it again")
    failed = failures(store)
    if failed:
        raise BooksError(
            f"{plural(len(failed), 'part')} of {store.root} failed and are not in the corpus; run it again"
        )
    if not (corpus_folder(store) / CARD).is_file():
        raise DataError(
            f"{store.root} has no corpus with a card: it ended before its last stage; run it without --until"
        )


def manifest(corpus: Path, where: str, public: bool) -> Iterator[str]:
    """What would be sent: files and bytes by folder, and the card's first lines of text."""
    files = [p for p in sorted(corpus.rglob("*")) if p.is_file()]
    sizes, counts = Counter(), Counter()
    for path in files:
        top = path.relative_to(corpus).parts[0]
        sizes[top] += path.stat().st_size
        counts[top] += 1
    yield f"to         {where} ({'public' if public else 'private'} if it is new)"
    yield f"sent are   {plural(len(files), 'file')}, {sum(sizes.values()):,} bytes"
    for top in sorted(sizes):
        yield f"           {top}: {plural(counts[top], 'file')}, {sizes[top]:,} bytes"
    body = (corpus / CARD).read_text(encoding="utf-8").split("\n---\n", 1)[-1]
    said = [line for line in body.splitlines() if line.strip()]
    yield from (f"card       {line}" for line in said[:2])


@contextmanager
def told_in_one_line(to: str) -> Iterator[None]:
    """Raises PushFailed for what the hub, or the way there, answers."""
    from huggingface_hub.errors import HfHubHTTPError

    # Its bases are the HTTP client's error, which huggingface_hub has changed twice, and OSError.
    expected: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, OSError)
    try:
        yield
    except expected as error:  # pyright: ignore[reportGeneralTypeIssues]
        raise PushFailed(f"{to}: {' '.join(str(error).split())}; the same command goes on from here") from error
