"""The gpt proxy: many decoders at once are what each would be alone; runs are kept and found again."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.stages.mixture.proxies.gpt import GptProxy
from gristmill.stages.mixture.proxies.gpt_settings import PRESETS, GptSettings
from gristmill.stages.mixture.streams import at_rate, stream
from places import SOURCE

torch = pytest.importorskip("torch")

END, VOCAB = 0, 31
SETTINGS = GptSettings(
    layers=2, width=16, heads=2, hidden=24, context=16, batch_windows=4, pass_windows=2, learning_rate=1e-2,
    together=4, threads=1,
)  # fmt: skip


def counting(start, size):
    """A bucket that counts upwards from `start` in tokens: easy to learn, different from the others."""
    tokens = (start + np.arange(size)) % 10 + start
    tokens[::23] = END
    return tokens.astype(np.int32)


BUCKETS = (counting(1, 900), counting(11, 500), counting(20, 10))
TARGETS = (counting(1, 50), counting(11, 33))
WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def proxy(folder, **changes):
    settings = replace(SETTINGS, **{k: v for k, v in changes.items() if hasattr(SETTINGS, k)})
    rest = {k: v for k, v in changes.items() if not hasattr(SETTINGS, k)}
    given = {
        "bucket_tokens": BUCKETS, "target_tokens": TARGETS, "buckets": ("a", "b", "c"), "targets": ("x", "y"),
        "budget_tokens": 1500, "vocab": VOCAB, "end_id": END, "settings": settings, "seed": 3, "folder": folder,
    }  # fmt: skip
    return GptProxy(**given | rest)


@pytest.mark.parametrize("tied", [True, False])
def test_models_trained_together_equal_models_trained_alone(tmp_path, tied):
    together = proxy(tmp_path / "many", together=5, tied=tied).losses(WEIGHTS)
    alone = proxy(tmp_path / "one", together=1, tied=tied).losses(WEIGHTS)
    assert np.abs(together - alone).max() < 1e-4
    assert np.ptp(together, axis=0).min() > 0.5


def test_a_batch_in_passes_equals_a_batch_at_once(tmp_path):
    in_passes = proxy(tmp_path / "a", pass_windows=1).losses(WEIGHTS[:1])
    at_once = proxy(tmp_path / "b", pass_windows=4).losses(WEIGHTS[:1])
    assert np.abs(in_passes - at_once).max() < 1e-4


def test_logits_in_slices_equal_logits_at_once(tmp_path, monkeypatch):
    from gristmill.stages.mixture.proxies import gpt_model as decoder

    whole = proxy(tmp_path / "a").losses(WEIGHTS[:2])
    # By positions of one model, and by models (2 windows of 16 tokens each).
    for folder, kept in (("b", 7 * 2 * VOCAB), ("c", 33 * VOCAB)):
        monkeypatch.setitem(decoder.KEPT_LOGITS, "cpu", kept)
        assert np.abs(proxy(tmp_path / folder).losses(WEIGHTS[:2]) - whole).max() < 1e-4


def test_on_a_gpu_sums_have_one_order_and_torch_is_left_as_it_was(tmp_path):
    from gristmill.stages.mixture.proxies.gpt_model import repeatable

    with repeatable(torch.device("cuda")):
        assert torch.are_deterministic_algorithms_enabled()
        # Nothing that the training does is refused.
        assert np.isfinite(proxy(tmp_path).losses(WEIGHTS[:1])).all()
    assert not torch.are_deterministic_algorithms_enabled()
    with repeatable(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_the_shape_counts_its_weights_as_regmix_does():
    s = PRESETS["regmix_1m"]
    assert s.layers * (4 * s.width**2 + 3 * s.width * s.hidden) == 1_310_720
    from gristmill.stages.mixture.proxies.gpt_model import Decoder

    one = proxy(None)
    made = Decoder.fresh(SETTINGS, VOCAB, 1, 0).weights
    assert one.parameters == sum(w.numel() for w in made.values())


def test_a_model_learns_what_its_mixture_holds(tmp_path):
    loss = proxy(tmp_path, budget_tokens=6000).losses(np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    assert loss[0, 0] < 0.8 < 3 < loss[0, 1]
    assert loss[1, 1] < 0.8 < 3 < loss[1, 0]


def test_an_untrained_model_knows_nothing():
    from gristmill.stages.mixture.proxies.gpt_model import Decoder

    fresh = Decoder.fresh(SETTINGS, VOCAB, 2, 0)
    assert fresh.evaluate(TARGETS[0], END) == pytest.approx([np.log(VOCAB)] * 2, abs=0.02)


def test_a_token_sees_only_those_before_it():
    from gristmill.stages.mixture.proxies.gpt_model import Decoder

    fresh = Decoder.fresh(SETTINGS, VOCAB, 1, 0)
    for w in fresh.weights.values():
        w.data *= 8  # away from the uniform start
    text = torch.arange(16)[None, None]
    changed = text.clone()
    changed[..., 9:] = 5
    a, b = (fresh._loss(t, text) for t in (text, changed))
    assert torch.equal(a[:, :9], b[:, :9])
    assert not torch.allclose(a[:, 9:], b[:, 9:])


def test_windows_follow_the_weights_and_epochs_follow_one_another(tmp_path):
    one = proxy(tmp_path)
    bucket, window = one._order(np.array([0.25, 0.0, 0.75]), [100, 50, 20])
    assert len(bucket) == one.windows == 96
    assert np.bincount(bucket, minlength=3).tolist() == [24, 0, 72]
    assert sorted(window[bucket == 0]) == list(range(24))  # the beginning of the stream, each window once
    repeated = window[bucket == 2]
    for epoch in range(3):
        assert sorted(repeated[20 * epoch : 20 * epoch + 20]) == list(range(20))
    assert sorted(repeated[60:]) == list(range(12))
    assert repeated[:20].tolist() != repeated[20:40].tolist()
    halves = np.bincount(bucket[:48], minlength=3)
    assert 6 <= halves[0] <= 18  # spread over the whole run


def test_realised_counts_whole_windows(tmp_path):
    realised = proxy(tmp_path).realised(np.array([[1 / 3, 1 / 3, 1 / 3], [0.005, 0.0, 0.995]]))
    assert realised.tolist() == [[32 / 96] * 3, [0, 0, 1]]


def test_finished_groups_are_read_and_only_the_others_trained(tmp_path, monkeypatch):
    first = proxy(tmp_path, together=2).losses(WEIGHTS[:2])
    trained = []
    train = GptProxy._train
    monkeypatch.setattr(GptProxy, "_train", lambda self, rows: trained.append(len(rows)) or train(self, rows))
    again = proxy(tmp_path, together=2).losses(WEIGHTS[[0, 1, 4, 0, 4]])
    assert trained == [1]
    assert again[[0, 1]].tolist() == again[[3, 1]].tolist() == first.tolist()
    assert again[2].tolist() == again[4].tolist()


def test_a_run_in_other_company_is_trained_again_for_its_last_digits(tmp_path):
    """A folder that an earlier config has filled must give the numbers that an empty one gives."""
    proxy(tmp_path / "used").losses(WEIGHTS[:3])
    used = proxy(tmp_path / "used").losses(WEIGHTS[1:5])
    assert used.tolist() == proxy(tmp_path / "empty").losses(WEIGHTS[1:5]).tolist()


def test_another_seed_bucket_budget_or_recipe_is_another_run(tmp_path):
    one = proxy(tmp_path)
    others = [
        one.reseeded(4),
        proxy(tmp_path, budget_tokens=1600),
        proxy(tmp_path, learning_rate=2e-2),
        proxy(tmp_path, bucket_tokens=(BUCKETS[0][:-1], *BUCKETS[1:])),
    ]
    assert len({one.digest, *(o.digest for o in others)}) == 5
    assert proxy(tmp_path, together=1).digest == one.digest


def _train_forever(folder):
    proxy(folder, together=1, budget_tokens=4000).losses(WEIGHTS)
    os._exit(0)


def test_killed_half_way_the_finished_runs_are_kept_and_the_numbers_are_the_same(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=_train_forever, args=(tmp_path / "killed",))
    child.start()
    while len(list((tmp_path / "killed").glob("*.json"))) < 2 and child.is_alive():
        child.join(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "killed").glob("*.json")}
    assert len(kept) >= 2
    resumed = proxy(tmp_path / "killed", together=1, budget_tokens=4000).losses(WEIGHTS)
    assert {n: (tmp_path / "killed" / n).stat().st_mtime_ns for n in kept} == kept
    assert resumed.tolist() == proxy(tmp_path / "calm", together=1, budget_tokens=4000).losses(WEIGHTS).tolist()


def test_run_files_hold_weights_and_losses(tmp_path):
    losses = proxy(tmp_path).losses(WEIGHTS[:1])
    (path,) = tmp_path.glob("*.json")
    (entry,) = json.loads(path.read_text()).values()
    assert entry == {
        "weights": {"a": 0.7, "b": 0.2, "c": 0.1},
        "losses": dict(zip(("x", "y"), losses[0].tolist(), strict=True)),
    }


def test_bf16_stays_near_fp32(tmp_path):
    half = proxy(tmp_path / "a", precision="bf16").losses(WEIGHTS[:2])
    full = proxy(tmp_path / "b").losses(WEIGHTS[:2])
    assert np.abs(half - full).max() < 0.05
    assert half.tolist() != full.tolist()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="device 'cuda' asked, but torch sees no GPU"):
        proxy(tmp_path, device="cuda").losses(WEIGHTS[:1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_models_trained_together_equal_models_trained_alone_and_the_cpu(tmp_path):
    together = proxy(tmp_path / "a", together=5, device="cuda").losses(WEIGHTS)
    alone = proxy(tmp_path / "b", together=1, device="cuda").losses(WEIGHTS)
    assert np.abs(together - alone).max() < 1e-3
    assert np.abs(together - proxy(tmp_path / "c").losses(WEIGHTS)).max() < 1e-2


def test_an_empty_bucket_is_named(tmp_path):
    with pytest.raises(DataError, match="bucket 'b' has no tokens"):
        proxy(tmp_path, bucket_tokens=(BUCKETS[0], BUCKETS[1][:0], BUCKETS[2]))


def test_importing_the_proxy_does_not_import_torch():
    code = "import sys, gristmill.stages.mixture.proxies.gpt; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_stream_is_in_the_order_of_the_draw_whatever_order_came_in():
    ids, documents = ["d1", "d2", "d3"], [np.array([1]), np.array([2, 2]), np.array([3])]
    forward = stream(ids, documents, END, "salt")
    backward = stream(ids[::-1], documents[::-1], END, "salt")
    assert forward.tolist() == backward.tolist()
    assert sorted(forward.tolist()) == [0, 0, 0, 1, 2, 2, 3]
    assert forward[-1] == END


def test_at_rate_keeps_the_epochs_of_the_target_run():
    """Target 1000 tokens of buckets with 300 and 5000; a proxy of 100 repeats the first like the target does."""
    cut = at_rate(
        [np.arange(300), np.arange(400)], [300, 5000], ("small", "large"), target_tokens=1000, proxy_tokens=100
    )
    assert [len(c) for c in cut] == [30, 100]
    assert cut[0].tolist() == list(range(30))


def test_at_rate_with_a_sample_that_is_too_short_names_the_bucket():
    with pytest.raises(DataError, match="bucket 'large': the proxy may read 100 tokens"):
        at_rate([np.arange(99)], [5000], ("large",), target_tokens=1000, proxy_tokens=100)
