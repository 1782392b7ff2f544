"""The gpt proxy: small decoders trained from scratch, many mixtures at once as one batched model.

All weights carry a leading dimension of P models, every matrix product is one batched product, and the gradient is
clipped per model, so P proxies train as they would alone while filling the machine. Architecture and the 1M/60M shapes
follow RegMix's TinyLlama (RMSNorm, rotary positions, SwiGLU; arXiv:2407.01492, lit_gpt/config.py).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.stages.mixture.proxies.gpt_settings import GptSettings
from gristmill.stages.mixture.runs.runs import Fidelity
from gristmill.stages.mixture.simplex import keep, mixtures


@dataclass(frozen=True, eq=False)
class GptProxy:
    """Trains a decoder per mixture. Streams and texts: int32 token ids, documents closed by end_id, in draw order."""

    bucket_tokens: tuple[np.ndarray, ...]  # read from the start, repeated where a mixture asks for more
    target_tokens: tuple[np.ndarray, ...]
    buckets: tuple[str, ...]
    targets: tuple[str, ...]
    budget_tokens: int  # per run, rounded up to whole batches
    vocab: int
    end_id: int
    settings: GptSettings
    seed: int  # of the first weights and of the order of the windows; the same for all mixtures, so they compare
    folder: Path  # finished runs are stored here, and found again
    kind: ClassVar[str] = "gpt"

    def __post_init__(self) -> None:
        for names, streams, what in (
            (self.buckets, self.bucket_tokens, "bucket"),
            (self.targets, self.target_tokens, "target"),
        ):
            if len(names) != len(streams) or len(set(names)) < len(names):
                raise DataError(f"every {what} of the gpt proxy needs one stream and a name of its own")
            for name, tokens in zip(names, streams, strict=True):
                if not len(tokens):
                    raise DataError(f"{what} {name!r} has no tokens; drop it or give it text")
                if tokens.min() < 0 or tokens.max() >= self.vocab:
                    raise DataError(f"{what} {name!r} has token ids outside [0, {self.vocab}); another tokenizer?")
        if self.settings.width % (2 * self.settings.heads):
            raise ConfigError("gpt: width must be a multiple of 2 * heads (rotary positions turn pairs)")
        if self.settings.batch_windows % self.settings.pass_windows:
            raise ConfigError("gpt: batch_windows must be a multiple of pass_windows")

    @property
    def steps(self) -> int:
        return -(-self.budget_tokens // (self.settings.batch_windows * self.settings.context))

    @property
    def windows(self) -> int:
        return self.steps * self.settings.batch_windows

    @property
    def parameters(self) -> int:
        s = self.settings
        layer = 4 * s.width**2 + 3 * s.width * s.hidden + 2 * s.width
        return s.layers * layer + s.width + (1 if s.tied else 2) * self.vocab * s.width

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity("gpt", float(self.parameters), float(self.windows * self.settings.context))

    @property
    def cost(self) -> float:
        """Floating-point operations of a run: 6 per token and weight of a matrix (Kaplan et al. 2020)."""
        return 6.0 * self.parameters * self.windows * self.settings.context

    @property
    def digest(self) -> str:
        """What a run depends on besides its mixture: data, shape, training, seed. Not the device nor `together`."""
        chunks = {k: v for k, v in asdict(self.settings).items() if k not in ("device", "together", "threads")}
        head = [chunks, self.budget_tokens, self.vocab, self.end_id, self.seed, self.buckets, self.targets]
        hasher = blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=16)
        for tokens in (*self.bucket_tokens, *self.target_tokens):
            hasher.update(len(tokens).to_bytes(8, "little"))
            hasher.update(np.ascontiguousarray(tokens, dtype="<i4").tobytes())
        return hasher.hexdigest()

    def reseeded(self, seed: int) -> "GptProxy":
        return replace(self, seed=seed)

    def realised(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) asked -> (n, k) shares of windows."""
        return np.stack([_whole(row, self.windows) for row in weights]) / self.windows

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) rows on the simplex -> (n, t) nats/token. Groups that `folder` holds are read, the others trained.

        `together` runs are trained at once and stored in one file when they are done; a killed call loses at most
        the group in work.
        """
        rows = mixtures(weights, len(self.buckets))
        digest = self.digest
        keys = [blake2b(f"{digest}{np.round(r, 9).tolist()}".encode(), digest_size=16).hexdigest() for r in rows]
        done: dict[str, dict[str, dict[str, float]]] = {}
        distinct = [(key, i) for i, key in enumerate(keys) if key not in keys[:i]]
        for start in range(0, len(distinct), self.settings.together):
            group = distinct[start : start + self.settings.together]
            path = self._path([key for key, _ in group])
            if path.exists():
                done |= json.loads(path.read_text(encoding="utf-8"))
                continue
            found = self._train(rows[[i for _, i in group]])
            entries = {
                key: {
                    "weights": dict(zip(self.buckets, rows[i].tolist(), strict=True)),
                    "losses": dict(zip(self.targets, np.round(loss, 6).tolist(), strict=True)),
                }
                for (key, i), loss in zip(group, found, strict=True)
            }
            keep(path, entries)
            done |= entries
        return np.array([[done[key]["losses"][t] for t in self.targets] for key in keys]).reshape(len(rows), -1)

    def _path(self, group: Sequence[str]) -> Path:
        """A group is found again as a whole and on the same device and threads only: other company moves losses by
        rounding, and what is found must be what would be computed."""
        company = json.dumps([self.settings.device, self.settings.threads, list(group)])
        return self.folder / f"{blake2b(company.encode(), digest_size=16).hexdigest()}.json"

    def _train(self, rows: np.ndarray) -> np.ndarray:
        """(p, k) -> (p, t), all p models at once."""
        # torch is optional: the stage imports without it
        from gristmill.stages.mixture.proxies.gpt_model import Decoder, threads

        with threads(self.settings.threads):
            decoder = Decoder.fresh(self.settings, self.vocab, len(rows), self.seed)
            streams, starts = self._layout(rows)
            decoder.train(streams, starts)
            return np.stack([decoder.evaluate(t, self.end_id) for t in self.target_tokens], axis=1)

    def _layout(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All streams end to end, and where each window of each run starts: (p, steps, batch_windows) int64."""
        context = self.settings.context
        padded = [np.resize(t, max(len(t), context + 1)) for t in self.bucket_tokens]
        offsets = np.cumsum([0, *map(len, padded)])
        available = [(len(t) - 1) // context for t in padded]
        order = [self._order(row, available) for row in rows]
        starts = np.stack([offsets[b] + j * context for b, j in order])
        return np.concatenate(padded), starts.reshape(len(rows), self.steps, self.settings.batch_windows)

    def _order(self, row: np.ndarray, available: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Bucket and window index of every window of a run, in training order: (windows,), (windows,).

        Each bucket is spread over the whole run; its epochs follow one another, each in an order of its own.
        """
        wanted = _whole(row, self.windows)
        bucket, window, when = [], [], []
        for b, (n, have) in enumerate(zip(wanted.tolist(), available, strict=True)):
            for epoch in range(-(-n // have)):
                size = min(have, n - epoch * have)
                ids = [f"{self.buckets[b]}/{epoch}/{j}" for j in range(size)]
                draw = uniform(ids, f"mixture.gpt.order/{self.seed}")
                bucket.append(np.full(size, b))
                window.append(np.arange(size))
                when.append((epoch * have + draw * size) / n)
        order = np.argsort(np.concatenate(when), kind="stable")
        return np.concatenate(bucket)[order], np.concatenate(window)[order]


def _whole(row: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that sum to total, nearest to row * total (largest remainders first)."""
    exact = row / row.sum() * total
    counts = np.floor(exact).astype(np.int64)
    short = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts
