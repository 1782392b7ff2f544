"""Measures the proxies on real text by domain: speed and truth of the n-gram proxy, gpt proxies at once against alone.

python benchmarks/mixture/proxies.py speed      # mixtures/s of the n-gram proxy: 20 buckets, 200,000 target tokens
python benchmarks/mixture/proxies.py agree      # rank correlation of the n-gram proxy with gpt proxies, figure in docs/
python benchmarks/mixture/proxies.py search     # a 16-run search with tiny gpt proxies on the CPU
python benchmarks/mixture/proxies.py together   # tokens/s of many gpt proxies at once against one after another (GPU)
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from domains import END, domains_and_targets
from scipy.stats import spearmanr

from gristmill.stages.mixture.constraints import constraints_from
from gristmill.stages.mixture.objective import mean_of
from gristmill.stages.mixture.proxies.gpt import GptProxy
from gristmill.stages.mixture.proxies.gpt_settings import PRESETS, GptSettings
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.runs.runs import Proxy
from gristmill.stages.mixture.search.bayes import Bayes
from gristmill.stages.mixture.search.candidates import RegMixSampler
from gristmill.stages.mixture.search.search import search as find

TWENTY = (
    "brown_genres", "chat_irc", "dialogue_task", "drama", "fiction_books", "government", "legal_license_texts",
    "legal_statutes", "masc_genres", "math_latex", "math_word_problems", "medical_leaflets", "news", "recipes",
    "religious", "reviews", "science_abstracts", "tech_docs", "textbook_psychology", "wikipedia",
)  # fmt: skip
TEN = (
    "fiction_books", "math_latex", "government", "chat_irc", "legal_statutes",
    "reviews", "tech_docs", "news", "science_abstracts", "dialogue_task",
)  # fmt: skip


def speed(args: argparse.Namespace) -> None:
    buckets, targets = domains_and_targets(TWENTY, args.vocab, 1_000_000, 20_000)
    chosen = [n for n in TWENTY if len(targets[n]) == 20_000][:10]
    sizes = [len(buckets[n]) for n in TWENTY]
    texts = [targets[n] for n in chosen]
    print(f"{len(TWENTY)} buckets of {min(sizes):,}-{max(sizes):,} tokens, {sum(map(len, texts)):,} target tokens")
    started = time.perf_counter()
    proxy = NgramProxy.fit(
        [buckets[n] for n in TWENTY], texts, TWENTY, chosen,
        budget_tokens=args.tokens, vocab=args.vocab, end_id=END, threads=args.threads,
    )  # fmt: skip
    print(f"fit {time.perf_counter() - started:.1f} s, discounts {proxy.discounts}, strengths {proxy.strengths}")
    weights = np.random.default_rng(0).dirichlet(np.ones(len(TWENTY)), 640)  # blocks of 32 for every thread
    proxy.losses(weights[:64])
    wall, cpu = time.perf_counter(), time.process_time()
    proxy.losses(weights)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"losses: {len(weights) / wall:.0f} mixtures/s by the clock, {cpu / len(weights) * 1e3:.2f} ms of CPU each = "
        f"{args.threads * len(weights) / cpu:.0f} mixtures/s on {args.threads} idle cores "
        f"(load {os.getloadavg()[0]:.1f})"
    )
    proxy.gradient(weights[:1], np.ones((1, len(chosen))))
    cpu = time.process_time()
    proxy.gradient(weights[:1], np.ones((1, len(chosen))))
    print(f"gradient: {(time.process_time() - cpu) * 1e3:.0f} ms of CPU")


def gpt_over(
    buckets: dict[str, np.ndarray], targets: dict[str, np.ndarray], args: argparse.Namespace, settings: GptSettings
) -> GptProxy:
    return GptProxy(
        tuple(buckets.values()), tuple(targets.values()), tuple(buckets), tuple(targets),
        args.tokens, args.vocab, END, settings, args.seed, args.folder,
    )  # fmt: skip


def settings_of(args: argparse.Namespace) -> GptSettings:
    return replace(
        PRESETS[args.preset], device=args.device, precision=args.precision, together=args.together, threads=args.threads
    )


def agree(args: argparse.Namespace) -> None:
    buckets, targets = map(dict, domains_and_targets(TEN, args.vocab, 300_000, 4_000))
    for name in args.scarce:
        buckets[name] = buckets[name][: args.scarce_tokens]
    weights = RegMixSampler().draw(np.ones(len(TEN)), args.mixtures, np.random.default_rng(args.seed))
    weights /= weights.sum(axis=1, keepdims=True)
    gpt = gpt_over(buckets, targets, args, settings_of(args))
    started = time.perf_counter()
    trained = gpt.losses(weights)
    print(f"gpt: {gpt.parameters:,} weights, {args.mixtures} runs of {args.tokens:,} tokens, "
          f"{time.perf_counter() - started:.0f} s (0 where kept)")  # fmt: skip
    ngram = NgramProxy.fit(
        list(buckets.values()), list(targets.values()), TEN, TEN,
        budget_tokens=args.tokens, vocab=args.vocab, end_id=END, max_order=args.order, threads=args.threads,
        repeat_value=args.repeat_value,
    )  # fmt: skip
    counted = ngram.losses(gpt.realised(weights))
    print(f"ngram: discounts {ngram.discounts}, strengths {ngram.strengths}")
    each = [rank_correlation(trained[:, t], counted[:, t]) for t in range(len(TEN))]
    for name, rho, a, b in zip(TEN, each, trained.T, counted.T, strict=True):
        print(f"  {name:20s} {rho:6.3f}   gpt {a.min():.2f}-{a.max():.2f}   ngram {b.min():.2f}-{b.max():.2f}")
    mean = rank_correlation(trained.mean(axis=1), counted.mean(axis=1))
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(1000):
        rows = rng.integers(len(weights), size=len(weights))
        resampled.append(
            (
                np.mean([rank_correlation(trained[rows, t], counted[rows, t]) for t in range(len(TEN))]),
                rank_correlation(trained[rows].mean(axis=1), counted[rows].mean(axis=1)),
            )
        )
    (low, mean_low), (high, mean_high) = np.percentile(resampled, [2.5, 97.5], axis=0)
    print(f"Spearman, mean over targets {np.mean(each):.3f} [{low:.3f}, {high:.3f}] (lowest {min(each):.3f})")
    print(f"Spearman, mean of the losses {mean:.3f} [{mean_low:.3f}, {mean_high:.3f}]")
    if args.figure:
        Path(args.figure).write_text(figure(trained, counted, each, mean, gpt), encoding="utf-8")


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b)[0])


def figure(trained: np.ndarray, counted: np.ndarray, each: list[float], mean: float, gpt: GptProxy) -> str:
    """SVG: one scatter per target and one for the mean of the losses, n-gram loss against gpt loss."""
    panels = [(n, counted[:, t], trained[:, t], r) for t, (n, r) in enumerate(zip(TEN, each, strict=True))]
    panels.append(("mean of the losses", counted.mean(axis=1), trained.mean(axis=1), mean))
    side, gap, columns = 150, 46, 4
    rows = -(-len(panels) // columns)
    width, height = columns * (side + gap) + gap, rows * (side + gap) + gap + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="10" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{gap}" y="20" font-size="12">n-gram loss (x) against gpt loss (y), nats/token: {len(trained)} '
        f"mixtures, gpt of {gpt.parameters:,} weights on {gpt.budget_tokens:,} tokens</text>",
    ]
    for i, (name, x, y, rho) in enumerate(panels):
        left, top = gap + i % columns * (side + gap), gap + 10 + i // columns * (side + gap)
        out.append(f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#bbb"/>')
        out.append(f'<text x="{left}" y="{top - 4}">{name.replace("_", " ")}: {rho:.2f}</text>')
        for value, dx, anchor in ((x.min(), 0, "start"), (x.max(), side, "end")):
            out.append(f'<text x="{left + dx}" y="{top + side + 11}" text-anchor="{anchor}">{value:.2f}</text>')
        for value, dy in ((y.min(), side), (y.max(), 8)):
            out.append(f'<text x="{left - 3}" y="{top + dy}" text-anchor="end">{value:.2f}</text>')
        px = left + 4 + (x - x.min()) / np.ptp(x) * (side - 8)
        py = top + side - 4 - (y - y.min()) / np.ptp(y) * (side - 8)
        for a, b in zip(px, py, strict=True):
            out.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="#2a6fbb" fill-opacity=".7"/>')
    return "\n".join([*out, "</svg>\n"])


def search(args: argparse.Namespace) -> None:
    """A whole search of 16 fresh gpt runs for two of the ten targets: 8 of a design, then twice 4 of highest expected
    improvement; the finished runs are kept in --folder, so give an empty one."""
    buckets, targets = map(dict, domains_and_targets(TEN, args.vocab, 300_000, 4_000))
    gpt = gpt_over(buckets, targets, args, settings_of(args))
    sizes = np.array([len(t) for t in buckets.values()], dtype=float)
    goal = mean_of(("news", "fiction_books"), "losses")
    constraints = constraints_from(TEN, tokens=dict(zip(TEN, sizes.tolist(), strict=True)), budget=args.tokens)
    wall, cpu = time.perf_counter(), time.process_time()
    method = Bayes(first=8, evaluations=16, batch=4)
    result = find(cast(Proxy, gpt), sizes / sizes.sum(), constraints, goal, method, args.seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    scores = goal.score(result.runs.losses, result.runs.targets)
    print(
        f"{len(result.runs)} runs of {gpt.parameters:,} weights, {args.tokens:,} tokens: {wall / 60:.1f} min by the "
        f"clock, {cpu / 60:.1f} min of CPU on {args.threads} threads (load {os.getloadavg()[0]:.1f})"
    )
    print(f"measured: natural {scores[0]:.4f}, best of 8 {scores[:8].min():.4f}, best of 16 {scores.min():.4f}")
    print(result.verdict)


def together(args: argparse.Namespace) -> None:
    buckets, targets = map(dict, domains_and_targets(TEN, args.vocab, 300_000, 4_000))
    weights = np.random.default_rng(args.seed).dirichlet(np.ones(len(TEN)), args.together)
    settings = settings_of(args)
    rates, losses = [], []
    for size, rows in ((args.together, weights), (1, weights[: args.alone])):
        gpt = gpt_over(buckets, targets, args, replace(settings, together=size))
        gpt = replace(gpt, folder=args.folder / f"{args.precision}-{size}")
        gpt._train(rows[:1])  # kernels are chosen and memory is taken on the first run
        started = time.perf_counter()
        losses.append(gpt.losses(rows))
        rates.append(len(rows) * gpt.windows * settings.context / (time.perf_counter() - started))
        print(f"{size:3d} at once: {rates[-1]:,.0f} tokens/s")
    apart = np.abs(losses[0][: args.alone] - losses[1]).max()
    print(
        f"{gpt.parameters:,} weights, {args.precision}: {rates[0] / rates[1]:.1f} times; largest difference {apart:.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "agree", "search", "together"])
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--mixtures", type=int, default=28)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--together", type=int, default=4)
    parser.add_argument("--alone", type=int, default=4, help="runs that `together` repeats one after another")
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--scarce", nargs="*", default=[], help="buckets cut to --scarce-tokens, so that they repeat")
    parser.add_argument("--scarce-tokens", type=int, default=40_000)
    parser.add_argument("--repeat-value", type=float, default=0.1, help="of the n-gram proxy, see NgramProxy.fit")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=False, help="where gpt runs are kept")
    parser.add_argument("--figure")
    args = parser.parse_args()
    if args.what != "speed" and args.folder is None:
        parser.error(f"{args.what} needs --folder: finished gpt runs are kept there")
    {"speed": speed, "agree": agree, "search": search, "together": together}[args.what](args)


if __name__ == "__main__":
    main()
