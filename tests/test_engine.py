"The engine: cached steps equal full passes, rows are independent, nothing malformed leaves the grammar."
import numpy as np
import pytest
import torch

from mapperatorinator.config import LanguageConfig, ModelConfig, compose
from mapperatorinator.engine import Cancelled, Engine, Job, draw, pad_left
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.model.hub import new_bundle
from mapperatorinator.rules import Grammar, MonotonicTime, Temperature, TopK, TopP, lines_of
from mapperatorinator.tokenizer import SOS

E, C = EventType, ContextType
language = compose(LanguageConfig, preset="embedded", src_seq_len=128, tgt_seq_len=128)

@pytest.fixture(scope="module", params=[{}, dict(norm="layer", positions="table", project_input=True, time_pointer=False, frame_heads=0,
                                                 global_attn_every_n_layers=1)], ids=["ours", "whisper"])
def engine(request):
    torch.manual_seed(1)
    c = ModelConfig(**(dict(d_model=32, n_heads=2, d_ff=64, encoder_layers=2, decoder_layers=2, local_attention=16) | request.param))
    bundle = new_bundle(c, language)
    with torch.no_grad(): bundle.model.head.weight.mul_(8) # opinions
    return Engine(bundle, "cpu")

@pytest.fixture(scope="module")
def heard(engine):
    return engine.encode(np.random.default_rng(0).standard_normal((3, language.window_samples)).astype(np.float32) / 5)

def prompts(tok): return [[SOS, 3, 40, 90, 4, 5], [SOS, 5, 20], [SOS, 5, 60, 100, 101, 102, 103]]
def generators(*seeds): return [torch.Generator().manual_seed(s) for s in seeds]

def test_batches_of_windows_equal_single_ones(engine, heard):
    engine.max_batch_size = 1
    x = np.random.default_rng(0).standard_normal((3, language.window_samples)).astype(np.float32) / 5
    torch.testing.assert_close(engine.encode(x).states, heard.states, atol=1e-5, rtol=1e-4)
    engine.max_batch_size = 16

def test_cached_equals_full(engine, heard):
    "Greedy tokens of a batch of unequal prompts, against full passes over each row alone."
    ps = prompts(engine.tokenizer)
    out = engine.generate(Job(ps, heard, [MonotonicTime(engine.tokenizer)], stop=(), max_new=25))
    for i, (p, w) in enumerate(zip(ps, out)):
        ids = list(p)
        for _ in range(25):
            rule = MonotonicTime(engine.tokenizer); rule.reset(torch.tensor([ids]))
            with torch.inference_mode(): ids.append(rule(engine.model.decode(torch.tensor([ids]), heard.rows([i]))[:, -1]).argmax().item())
        assert w.ids == ids[len(p):]

@pytest.mark.parametrize("rules", [[], [TopP(.9)], [Temperature(.7), TopK(20), TopP(.95)]], ids=["plain", "top-p", "all"])
def test_rows_are_independent(engine, heard, rules):
    ps = prompts(engine.tokenizer)
    together = engine.generate(Job(ps, heard, rules, (2, 6), generators(1, 2, 3), 60))
    alone = [engine.generate(Job([p], heard.rows([i]), rules, (2, 6), generators(i + 1), 60))[0] for i, p in enumerate(ps)]
    assert together == alone
    eight = engine.generate(Job([ps[0]] * 8, heard.rows([0]), rules, (2, 6), generators(1, *range(11, 18)), 60))
    assert eight[0] == together[0] and len({tuple(w.ids) for w in eight}) > 1

def test_one_window_serves_all_rows(engine, heard):
    ps = prompts(engine.tokenizer)
    assert engine.generate(Job(ps, heard.rows([1]), max_new=15)) == engine.generate(Job(ps, heard.rows([1, 1, 1]), max_new=15))

def test_the_cache_is_kept(engine, heard):
    ps = prompts(engine.tokenizer)
    engine.generate(Job(ps, heard, max_new=5)); first = engine._cache
    engine.generate(Job(ps, heard, max_new=50)); assert engine._cache is first

def test_limits_and_cancel(engine, heard):
    out = engine.generate(Job([[SOS] * 120, [SOS]], heard.rows([0]), stop=()))
    assert [len(w.ids) for w in out] == [8, 127] and not any(w.stopped for w in out)
    assert engine.generate(Job([[SOS] * 128], heard.rows([0])))[0].ids == []
    asked = []
    with pytest.raises(Cancelled): engine.generate(Job([[SOS]], heard.rows([0]), stop=()), lambda: asked.append(1) or len(asked) > 2)
    assert len(asked) == 3

def test_guidance_of_one_is_none(engine, heard):
    ps = prompts(engine.tokenizer)
    job = dict(prompts=ps, encoded=heard, stop=(), max_new=12)
    assert engine.generate(Job(**job, negatives=[[SOS, 5]] * 3, guidance=1.)) == engine.generate(Job(**job))
    assert engine.generate(Job(**job, negatives=[[SOS, 5]] * 3, guidance=5.)) != engine.generate(Job(**job))

def test_draw_follows_probabilities():
    p = torch.tensor([.1, 0, .6, .3, 0])
    u = torch.rand(20000, generator=torch.Generator().manual_seed(0))
    drawn = draw(p.log().repeat(20000, 1), u).bincount(minlength=5) / 20000
    torch.testing.assert_close(drawn, p, atol=.01, rtol=0)
    assert drawn[1] == drawn[4] == 0 and draw(p.log()[None], torch.tensor([1 - 2**-24])).item() == 3

def test_bf16_runs(heard):
    torch.manual_seed(1)
    bundle = new_bundle(ModelConfig(d_model=32, n_heads=2, d_ff=64, encoder_layers=1, decoder_layers=1, local_attention=16), language)
    e = Engine(bundle, "cpu", "bf16")
    x = e.encode(np.random.default_rng(0).standard_normal((1, language.window_samples)).astype(np.float32) / 5)
    assert x.states.dtype == torch.bfloat16 and len(e.generate(Job([[SOS, 5]], x, [TopP(.9)], (), generators(1), 9))[0].ids) == 9
