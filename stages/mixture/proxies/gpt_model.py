"""P decoders of one shape as one batched model in torch. Imported only where a gpt proxy trains."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils import deterministic as torch_deterministic
from torch.utils.checkpoint import checkpoint

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.proxies.gpt_settings import GptSettings

# Logits of one pass that may be kept for the backward pass: 1 GB of float32 on a CPU, 2 GB on a GPU (their softmax and
# its gradient take as much again each); above it they are computed in slices and again on the way back.
KEPT_LOGITS = {"cpu": 2**28, "cuda": 2**29}


@contextmanager
def threads(n: int) -> Iterator[None]:
    """torch's thread count is global; it decides the order of sums, so it is set for the run and put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On a GPU, attention's backward pass adds in any order unless torch is told not to; and cuBLAS needs a fixed
    workspace for it. Both settings are torch's own and global, so they hold for the run and are put back."""
    if device.type != "cuda":
        yield
        return
    deterministic: Any = torch_deterministic  # its one attribute is not in torch's stubs
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # NVIDIA's value; read when cuBLAS is first used
    before, filled = torch.are_deterministic_algorithms_enabled(), deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False  # we never read what we have not written
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        deterministic.fill_uninitialized_memory = filled


class Decoder:
    """Weights (P, ...) of P models; window starts and losses carry the same leading dimension."""

    def __init__(self, settings: GptSettings, vocab: int, weights: dict[str, torch.Tensor]) -> None:
        self.settings, self.vocab, self.weights = settings, vocab, weights
        self.device = weights["embed"].device
        self.models = weights["embed"].shape[0]
        half = settings.width // settings.heads // 2
        angle = torch.arange(settings.context)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.cos, self.sin = angle.cos().to(self.device), angle.sin().to(self.device)

    @classmethod
    def fresh(cls, settings: GptSettings, vocab: int, models: int, seed: int) -> "Decoder":
        """The same first weights for every model, drawn on the CPU, so devices agree."""
        if settings.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"gpt: device {settings.device!r} asked, but torch sees no GPU; set device: cpu")
        generator = torch.Generator().manual_seed(seed)
        d, h = settings.width, settings.hidden
        residual = 0.02 / math.sqrt(2 * settings.layers)  # GPT-2: the residual stream's variance stays level
        shapes = {"embed": ((vocab, d), 0.02)}
        for i in range(settings.layers):
            shapes |= {
                f"{i}.mix": ((d, 3 * d), 0.02), f"{i}.mix_out": ((d, d), residual),
                f"{i}.up": ((d, 2 * h), 0.02), f"{i}.down": ((h, d), residual),
            }  # fmt: skip
        if not settings.tied:
            shapes["head"] = ((vocab, d), 0.02)
        weights = {n: torch.randn(shape, generator=generator) * scale for n, (shape, scale) in shapes.items()}
        norms = [f"{i}.{n}" for i in range(settings.layers) for n in ("mix_norm", "up_norm")]
        weights |= {n: torch.ones(d) for n in [*norms, "norm"]}
        stacked = {n: w.to(settings.device).expand(models, *w.shape).clone() for n, w in weights.items()}
        return cls(settings, vocab, {n: w.requires_grad_() for n, w in stacked.items()})

    def train(self, stream: np.ndarray, starts: np.ndarray) -> None:
        """stream (n,) token ids; starts (P, steps, batch_windows): where each window of context + 1 tokens begins."""
        s = self.settings
        tokens = torch.from_numpy(stream.astype(np.int64)).to(self.device)
        at = torch.from_numpy(starts).to(self.device)
        span = torch.arange(s.context + 1, device=self.device)
        decayed = [w for n, w in self.weights.items() if "norm" not in n]
        level = [w for n, w in self.weights.items() if "norm" in n]
        groups = [{"params": decayed, "weight_decay": s.weight_decay}, {"params": level, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=s.learning_rate, betas=(s.beta1, s.beta2), fused=True)
        passes = s.batch_windows // s.pass_windows
        steps = starts.shape[1]
        with repeatable(self.device):
            for step in range(steps):
                for group in optimizer.param_groups:
                    group["lr"] = s.learning_rate * _rate(step, steps, s)
                optimizer.zero_grad(set_to_none=True)
                for i in range(passes):
                    first = at[:, step, i * s.pass_windows : (i + 1) * s.pass_windows]
                    windows = tokens[first[..., None] + span]
                    loss = self._loss(windows[..., :-1], windows[..., 1:]).mean(dim=1)
                    (loss.sum() / passes).backward()
                self._clip()
                optimizer.step()

    def evaluate(self, text: np.ndarray, end_id: int) -> np.ndarray:
        """(P,) mean loss over all tokens of a text, in windows of `context`, the first token after an end."""
        context = self.settings.context
        count = -(-len(text) // context)
        padded = np.full(count * context + 1, end_id, np.int64)
        padded[1 : len(text) + 1] = text
        known = np.arange(count * context) < len(text)
        inputs = torch.from_numpy(padded[:-1].reshape(count, context)).to(self.device)
        outputs = torch.from_numpy(padded[1:].reshape(count, context)).to(self.device)
        mask = torch.from_numpy(known.reshape(count, context)).to(self.device)
        total = torch.zeros(self.models, dtype=torch.float64, device=self.device)
        with torch.no_grad():
            for i in range(0, count, self.settings.pass_windows):
                rows = slice(i, i + self.settings.pass_windows)
                shape = (self.models, -1, context)
                loss = self._loss(inputs[rows].expand(*shape), outputs[rows].expand(*shape))
                total += (loss.double() * mask[rows].reshape(1, -1)).sum(dim=1)
        return (total / len(text)).cpu().numpy()

    def _clip(self) -> None:
        gradients = [w.grad for w in self.weights.values() if w.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
        norm = torch.linalg.vector_norm(norms, dim=0)
        scale = (self.settings.clip / (norm + 1e-6)).clamp(max=1.0)
        for g in gradients:
            g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))

    def _loss(self, inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """inputs, outputs (P, windows, context) -> (P, windows * context) nats."""
        bf16 = self.settings.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            hidden = self._hidden(inputs)
            head = self.weights["embed" if self.settings.tied else "head"].transpose(1, 2)
            flat = outputs.flatten(1)
            limit = KEPT_LOGITS["cuda" if self.device.type == "cuda" else "cpu"]
            if self.models * flat.shape[1] * self.vocab <= limit:
                return _cross_entropy(hidden, head, flat)
            # By models first: a matrix then takes part in one product, and its gradient is not added up over slices.
            several = max(1, limit // (flat.shape[1] * self.vocab))
            width = min(flat.shape[1], max(1, limit // (several * self.vocab)))
            parts = zip(hidden.split(several), head.split(several), flat.split(several), strict=True)
            return torch.cat(
                [
                    torch.cat(
                        [
                            checkpoint(_cross_entropy, x, matrix, y, use_reentrant=False)
                            for x, y in zip(some.split(width, dim=1), wanted.split(width, dim=1), strict=True)
                        ],
                        dim=1,
                    )
                    for some, matrix, wanted in parts
                ]
            )

    def _hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        """(P, windows, context) -> (P, windows * context, width)."""
        s, w = self.settings, self.weights
        models, windows, context = inputs.shape
        offset = torch.arange(models, device=self.device).view(-1, 1, 1) * self.vocab
        x = F.embedding(inputs + offset, w["embed"].flatten(0, 1)).view(models, windows * context, s.width)
        heads = (models * windows, context, s.heads, s.width // s.heads)
        for i in range(s.layers):
            mixed = torch.bmm(_norm(x, w[f"{i}.mix_norm"]), w[f"{i}.mix"])
            q, k, v = (part.reshape(heads).transpose(1, 2) for part in mixed.chunk(3, dim=-1))
            seen = F.scaled_dot_product_attention(self._turn(q), self._turn(k), v, is_causal=True)
            x = x + torch.bmm(seen.transpose(1, 2).reshape(x.shape), w[f"{i}.mix_out"])
            gate, up = torch.bmm(_norm(x, w[f"{i}.up_norm"]), w[f"{i}.up"]).chunk(2, dim=-1)
            x = x + torch.bmm(F.silu(gate) * up, w[f"{i}.down"])
        return _norm(x, w["norm"])

    def _turn(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions: (..., context, head width)."""
        a, b = x.chunk(2, dim=-1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def _norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """x (P, n, width), gain (P, width)."""
    return F.rms_norm(x, (x.shape[-1],), eps=1e-5) * gain[:, None]


def _cross_entropy(hidden: torch.Tensor, head: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    logits = torch.bmm(hidden, head).float()
    return F.cross_entropy(logits.flatten(0, 1), outputs.flatten(), reduction="none").view(outputs.shape)


def _rate(step: int, steps: int, settings: GptSettings) -> float:
    """Share of the learning rate: linear warm-up, then a cosine down to final_rate_frac."""
    warmup = max(1, round(steps * settings.warmup_frac))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return settings.final_rate_frac + (1 - settings.final_rate_frac) * (1 + math.cos(math.pi * done)) / 2
