"""Proxies from what a run has: the n-gram counts, decoders to train, or files for a command of the user's."""

import json
import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import cast

import numpy as np

from gristmill.stages.mixture.config import CommandSection, GptSection, NgramSection, ProxySection
from gristmill.stages.mixture.material.readings import Material
from gristmill.stages.mixture.proxies.command import CommandProxy
from gristmill.stages.mixture.proxies.gpt import GptProxy
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.runs.runs import Proxy


def make(
    section: ProxySection,
    m: Material,
    threads: int,
    seed: int,
    scratch: Path,
    like: NgramProxy | None = None,
    exact: np.ndarray | None = None,
) -> Proxy:
    """`seed` is of the training; counts have none. For the n-gram proxy, `like` is one on another draw of the same
    corpus, whose discounts and strengths are taken over, and `exact` (n, k) are the mixtures that it must not
    interpolate."""
    if isinstance(section, GptSection):
        made = gpt_proxy(m, section, threads, seed, scratch)
    elif isinstance(section, CommandSection):
        made = command_proxy(m, section, seed, scratch)
    else:
        made = ngram_proxy(m, section, threads, like, exact)
    return cast(Proxy, made)  # `kind` is a class variable of theirs, which the protocol cannot say


def ngram_proxy(
    m: Material, section: NgramSection, threads: int, like: NgramProxy | None, exact: np.ndarray | None
) -> NgramProxy:
    known = like if like is not None and len(like.discounts) == section.order else None
    return NgramProxy.fit(
        m.streams, m.target_tokens, m.buckets, m.targets, budget_tokens=m.budget_tokens, vocab=m.tokens.vocab,
        end_id=m.tokens.end, max_order=section.order, discounts=known and known.discounts,
        strengths=known and known.strengths, exact=exact, threads=threads,
    )  # fmt: skip


def gpt_proxy(m: Material, section: GptSection, threads: int, seed: int, scratch: Path) -> GptProxy:
    return GptProxy(
        m.streams, m.target_tokens, m.buckets, m.targets, m.budget_tokens, m.tokens.vocab, m.tokens.end,
        section.settings(threads), seed, scratch / "gpt",
    )  # fmt: skip


def command_proxy(m: Material, section: CommandSection, seed: int, scratch: Path) -> CommandProxy:
    """Writes the texts that the command reads, a JSONL file of {"text"} per bucket (in reading order) and target."""
    digest = blake2b(digest_size=16)
    files = {
        **{("bucket", b): [m.shelf.texts[i] for i in ids] for b, ids in zip(m.buckets, m.documents, strict=True)},
        **{("target", t): texts for t, texts in zip(m.targets, m.target_texts, strict=True)},
    }
    lines = {key: jsonl(texts) for key, texts in files.items()}
    for (kind, name), content in lines.items():
        digest.update(f"{kind}\n{name}\n{len(content)}\n".encode() + content)
    folder = scratch / "data" / digest.hexdigest()
    paths: dict[tuple[str, str], tuple[str, ...]] = {}
    for number, (key, content) in enumerate(lines.items()):
        path = folder / f"{key[0]}-{number:04d}.jsonl"  # a bucket's name need not be a file's
        write_whole(path, content)
        paths[key] = (str(path.absolute()),)
    return CommandProxy(
        m.buckets, m.targets, {b: paths["bucket", b] for b in m.buckets}, digest.hexdigest(), m.budget_tokens,
        section.settings(m.budget_tokens), seed, scratch / "command", {t: paths["target", t] for t in m.targets},
    )  # fmt: skip


def jsonl(texts: Iterable[str]) -> bytes:
    return "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts).encode()


def write_whole(path: Path, content: bytes) -> None:
    """The folder is named after the contents: a file that is there is the file."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
