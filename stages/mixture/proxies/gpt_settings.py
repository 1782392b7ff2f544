"""Shape and training settings of the gpt proxy, and its named presets."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GptSettings:
    """Shape and training of a proxy. The defaults are the `tiny` preset: half a minute per run on two CPU cores."""

    layers: int = 2
    width: int = 64
    heads: int = 2
    hidden: int = 176  # of the SwiGLU, about 8/3 width
    context: int = 128  # tokens per window
    tied: bool = True  # input embeddings are the output matrix too
    batch_windows: int = 2  # windows per step: half a million tokens must make enough steps
    pass_windows: int = 2  # windows per pass of one model; the rest of the batch is accumulated
    learning_rate: float = 3e-3  # tiny: 3e-3 beats 1.5e-3, 6e-3 and 1e-2 (docs/decisions/proxies.md)
    final_rate_frac: float = 0.1  # of learning_rate, reached along a cosine; 1: constant, as RegMix
    warmup_frac: float = 0.1  # of the steps
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1  # on matrices only
    clip: float = 1.0  # of each model's gradient norm
    device: str = "cpu"  # as torch names it: cpu, cuda, cuda:1
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: products only, weights stay fp32
    together: int = 8  # models trained at once
    threads: int = 2  # of torch, on the CPU


PRESETS = {
    "tiny": GptSettings(),
    "mini": GptSettings(width=128, heads=4, hidden=352, learning_rate=2e-3),
    "small": GptSettings(layers=4, width=128, heads=4, hidden=352, context=256, batch_windows=8, pass_windows=8),
    # RegMix 4.3: 2 layers, 8 heads, 1,310,720 weights outside the embeddings; batch 512 x 2048, constant 4e-4
    "regmix_1m": GptSettings(
        layers=2, width=256, heads=8, hidden=512, context=2048, tied=False, batch_windows=512, pass_windows=4,
        learning_rate=4e-4, final_rate_frac=1.0, device="cuda", precision="bf16", together=64,
    ),
    "regmix_60m": GptSettings(
        layers=10, width=768, heads=12, hidden=1536, context=2048, tied=False, batch_windows=512, pass_windows=4,
        learning_rate=4e-4, final_rate_frac=1.0, device="cuda", precision="bf16", together=8,
    ),
}  # fmt: skip
