"""Writes the texts that the command proxy's trainer reads: a JSONL file per bucket and target."""

import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from gristmill.pipeline.contract.state import replaced
from gristmill.stages.mixture.material.readings import Material
from gristmill.stages.mixture.proxies.command import CommandProxy, CommandSettings


def command_proxy(m: Material, settings: CommandSettings, seed: int, scratch: Path) -> CommandProxy:
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
        settings, seed, scratch / "command", {t: paths["target", t] for t in m.targets},
    )  # fmt: skip


def jsonl(texts: Iterable[str]) -> bytes:
    return "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts).encode()


def write_whole(path: Path, content: bytes) -> None:
    """The folder is named after the contents: a file that is there is the file."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as file:
        file.write(content)
