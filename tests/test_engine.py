"The engine: cached steps equal full passes, rows are independent, nothing malformed leaves the grammar."

from itertools import product

import numpy as np
import pytest
import torch

from mapperatorinator.audio import load_audio
from mapperatorinator.speed.loop import agreement
from mapperatorinator.config import LanguageConfig, compose
from mapperatorinator.core import Cancelled, UserError, demo_song
from mapperatorinator.engine import Engine, Job, merge_jobs, sample
from mapperatorinator.events import ContextType, EventType
from mapperatorinator.model.compiled import CompiledStep, compiled_step
from mapperatorinator.model.hub import Bundle, load_bundle
from mapperatorinator.model.layers import SHORT, Int8Linear, eight_bits, has_int8
from mapperatorinator.model.precision import resolve_precision
from mapperatorinator.prompt import Context, Metadata, build
from mapperatorinator.rules import Grammar, MonotonicTime, Rule, Temperature, TopK, TopP, grammar_lines
from mapperatorinator.speculate import PromptLookup
from mapperatorinator.threads import threads_kept
from mapperatorinator.tokenizer import SOS
from mapperatorinator.windows import cut, plan
from tiny import tiny_bundle

E, C = EventType, ContextType
language = compose(LanguageConfig, preset="embedded", src_seq_len=128, tgt_seq_len=128)


@pytest.fixture(
    scope="module",
    params=[
        {},
        dict(
            norm="layer",
            positions="table",
            project_input=True,
            time_pointer=False,
            frame_heads=0,
            global_attn_every_n_layers=1,
        ),
    ],
    ids=["ours", "whisper"],
)
def engine(request):
    bundle = tiny_bundle(language, 1, **dict(encoder_layers=2, decoder_layers=2) | request.param)
    with torch.no_grad():
        bundle.model.head.weight.mul_(8)  # opinions
    return Engine(bundle, "cpu")


@pytest.fixture(scope="module")
def heard(engine):
    return engine.encode(
        np.random.default_rng(0).standard_normal((3, language.window_samples)).astype(np.float32) / 5
    )


def prompts(tok):
    return [[SOS, 3, 40, 90, 4, 5], [SOS, 5, 20], [SOS, 5, 60, 100, 101, 102, 103]]


def generators(*seeds):
    return [torch.Generator().manual_seed(s) for s in seeds]


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
            rule = MonotonicTime(engine.tokenizer)
            rule.reset(torch.tensor([ids]))
            with torch.inference_mode():
                ids.append(
                    rule(engine.model.decode(torch.tensor([ids]), heard.rows([i]))[:, -1]).argmax().item()
                )
        assert w.ids == ids[len(p) :]


@pytest.mark.parametrize(
    "rules", [[], [TopP(0.9)], [Temperature(0.7), TopK(20), TopP(0.95)]], ids=["plain", "top-p", "all"]
)
def test_rows_are_independent(engine, heard, rules):
    ps = prompts(engine.tokenizer)
    together = engine.generate(Job(ps, heard, rules, (2, 6), generators(1, 2, 3), 60))
    alone = [
        engine.generate(Job([p], heard.rows([i]), rules, (2, 6), generators(i + 1), 60))[0]
        for i, p in enumerate(ps)
    ]
    assert together == alone
    eight = engine.generate(
        Job([ps[0]] * 8, heard.rows([0]), rules, (2, 6), generators(1, *range(11, 18)), 60)
    )
    assert eight[0] == together[0] and len({tuple(w.ids) for w in eight}) > 1


def test_one_window_serves_all_rows(engine, heard):
    ps = prompts(engine.tokenizer)
    assert engine.generate(Job(ps, heard.rows([1]), max_new=15)) == engine.generate(
        Job(ps, heard.rows([1, 1, 1]), max_new=15)
    )


def test_the_cache_is_kept(engine, heard):
    ps = prompts(engine.tokenizer)
    engine.generate(Job(ps, heard, max_new=5))
    first = engine._cache
    engine.generate(Job(ps, heard, max_new=50))
    assert engine._cache is first


def test_limits_and_cancel(engine, heard):
    out = engine.generate(Job([[SOS] * 120, [SOS]], heard.rows([0]), stop=()))
    assert [len(w.ids) for w in out] == [8, 127] and not any(w.stopped for w in out)
    assert engine.generate(Job([[SOS] * 128], heard.rows([0])))[0].ids == []
    asked = []
    with pytest.raises(Cancelled):
        engine.generate(Job([[SOS]], heard.rows([0]), stop=()), lambda: asked.append(1) or len(asked) > 2)
    assert len(asked) == 3


def test_guidance_of_one_is_none(engine, heard):
    ps = prompts(engine.tokenizer)
    job = dict(prompts=ps, encoded=heard, stop=(), max_new=12)
    assert engine.generate(Job(**job, negatives=[[SOS, 5]] * 3, guidance=1.0)) == engine.generate(Job(**job))
    assert engine.generate(Job(**job, negatives=[[SOS, 5]] * 3, guidance=5.0)) != engine.generate(Job(**job))


def test_draw_follows_probabilities():
    p = torch.tensor([0.1, 0, 0.6, 0.3, 0])
    u = torch.rand(20000, generator=torch.Generator().manual_seed(0))
    drawn = sample(p.log().repeat(20000, 1), u).bincount(minlength=5) / 20000
    torch.testing.assert_close(drawn, p, atol=0.01, rtol=0)
    assert drawn[1] == drawn[4] == 0 and sample(p.log()[None], torch.tensor([1 - 2**-24])).item() == 3


def test_bf16_runs(heard):
    bundle = tiny_bundle(language, 1)
    e = Engine(bundle, "cpu", "bf16")
    x = e.encode(
        np.random.default_rng(0).standard_normal((1, language.window_samples)).astype(np.float32) / 5
    )
    assert (
        e.precisions == ("bf16", "bf16")
        and len(e.generate(Job([[SOS, 5]], x, [TopP(0.9)], (), generators(1), 9))[0].ids) == 9
    )


@pytest.mark.parametrize("sampled", [False, True], ids=["greedy", "sampled"])
def test_drafts_change_nothing(engine, heard, sampled):
    "Token for token, alone and in a batch, with rules and with guidance."
    tok = engine.tokenizer
    ps = prompts(engine.tokenizer)
    plain = Engine(load_twin(engine), "cpu", speculate=0)
    rules = lambda: [MonotonicTime(tok), Temperature(0.3), TopK(5)]
    seeds = lambda n: generators(*range(n)) if sampled else None
    for job in (
        lambda: Job(ps, heard, rules(), (2, 6), seeds(3), 60),
        lambda: Job(ps[:1], heard.rows([0]), rules(), (), seeds(1), 90),
        lambda: Job(ps, heard, rules(), (2,), seeds(3), 40, negatives=[[SOS, 5]] * 3, guidance=2.0),
    ):
        assert engine.generate(job()) == plain.generate(job())


def load_twin(engine):  # the same weights, as a bundle
    return Bundle(engine.model, engine.tokenizer, engine.language)


def test_steps_of_one_shape_write_the_same(engine, heard):
    "What a CUDA graph would record, run as it is; twice, since the cache stays."
    static = Engine(load_twin(engine), "cpu", static=True)
    ps = prompts(engine.tokenizer)
    for p, windows in ((ps, heard), (ps[::-1], heard.rows([2, 1, 0]))):
        job = lambda: Job(p, windows, [TopP(0.9)], (2,), generators(1, 2, 3), 40)
        assert static.generate(job()) == engine.generate(job())


def test_drafts_leave_the_distribution_as_it_is():
    "A toy whose next token depends on the last: tokens drawn with drafts follow its table (chi-square, fixed seeds)."
    table = torch.tensor(
        [[0.0, 0.7, 0.2, 0.1], [0.0, 0.1, 0.6, 0.3], [0.0, 0.5, 0.1, 0.4], [0.0, 0.3, 0.3, 0.4]]
    )
    rows = 200
    length = 60
    counts = torch.zeros(4, 4)
    held = 0
    for seed in range(rows):
        u = torch.rand(length, generator=torch.Generator().manual_seed(seed))
        lookup = PromptLookup(Words(), [1])
        ids = [1]
        while len(ids) <= length:
            draft = lookup.draft_tokens(3)
            for j in range(
                len(draft) + 1
            ):  # scores after the last token and after each of the draft, as long as it holds
                if len(ids) > length:
                    break
                ids.append(int(sample(table[ids[-1]].log()[None], u[len(ids) - 1 : len(ids)])))
                lookup.update(ids[-1])
                if j < len(draft) and ids[-1] != draft[j]:
                    break
                held += j < len(draft)
        for a, b in zip(ids, ids[1:]):
            counts[a, b] += 1
    expected = counts.sum(1, keepdim=True) * table
    chi = ((counts - expected)[1:, 1:].square() / expected[1:, 1:]).sum()
    assert held > 1000 and chi < 22.5  # 6 degrees of freedom: p > .001


class Words:  # a language without times
    def range(self, kind):
        return (100, 100)


def test_side_by_side(engine, heard):
    "Jobs of different prompts, rules, ends and chance in one pass write what they write alone."
    tok = engine.tokenizer
    ps = prompts(engine.tokenizer)
    jobs = lambda: [
        Job(ps[:2], heard.rows([0, 1]), [MonotonicTime(tok), TopP(0.9)], (2, 6), generators(1, 2), 40),
        Job(ps[2:], heard.rows([2]), [TopK(3)], (4,), None, 40),
        Job(ps[:1], heard.rows([1]), [], (), generators(5), 40),
    ]
    alone = [w for job in jobs() for w in engine.generate(job)]
    assert engine.generate(merge_jobs(jobs())) == alone
    with pytest.raises(ValueError):
        merge_jobs([jobs()[0], Job(ps[:1], heard.rows([1]), max_new=7)])


def told(bundle, samples):  # a prompt
    request = Metadata(gamemode=0, difficulty=4.0, song_length=len(samples) / 16)
    return build(bundle.tokenizer, bundle.language, request, [], [Context(C.MAP)], 0.0).ids


@pytest.mark.parametrize("precision,least", [("bf16", 0.99), ("int8", 0.995)])
def test_fewer_bits_agree(precision, least):
    "Trained weights on the demo song: the likeliest token is the same; the original stays exact."
    if precision == "int8" and not has_int8():
        pytest.skip("no fast 8-bit integers here")
    bundle = load_bundle("embedded")
    before = bundle.model.head.weight.clone()
    exact = Engine(bundle, "cpu", "fp32")
    small = Engine(bundle, "cpu", precision)
    samples = load_audio(demo_song(), bundle.language.sample_rate)
    windows = cut(samples, plan(len(samples), bundle.language)[:6])
    assert agreement(exact, small, windows, [told(bundle, samples)] * 6, 100) >= least
    assert (
        torch.equal(bundle.model.head.weight, before)
        and exact.model.dtype == torch.float32
        and small.precisions[1] == precision
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_packed_rows_keep_apart(precision):
    "A row does not see its batch."
    if precision == "int8" and not has_int8():
        pytest.skip("no fast 8-bit integers here")
    bundle = load_bundle("embedded")
    samples = load_audio(demo_song(), bundle.language.sample_rate)
    engine = Engine(bundle, "cpu", precision)
    heard = engine.encode(cut(samples, plan(len(samples), bundle.language)[:6]))
    prompt = told(bundle, samples)
    job = lambda rows: Job(
        [prompt] * len(rows), heard.rows(rows), [Temperature(0.9), TopP(0.9)], (2,), generators(*rows), 40
    )
    assert engine.generate(job([0, 1, 2, 3]))[1] == engine.generate(job([1]))[0]


def test_eight_bits_unpacked():
    "Weights that are not packed still have the numbers that were asked for."
    if not has_int8():
        pytest.skip("no fast 8-bit integers here")
    decoder = Engine(load_bundle("embedded"), "cpu", "int8", packed=False).model.decoder
    assert isinstance(decoder.layers[0].ff.up, Int8Linear) and {p.dtype for p in decoder.parameters()} == {
        torch.float32
    }


def test_auto_takes_eight_bits_where_nothing_is_lost():
    "The shipped weights were stored so; a change of one weight makes them others, and auto looks elsewhere."
    if not has_int8():
        pytest.skip("no fast 8-bit weights here")
    bundle = load_bundle("embedded")
    assert resolve_precision("auto", bundle.model, torch.device("cpu"))[1] == "int8"
    with torch.no_grad():
        bundle.model.decoder.layers[0].ff.up.weight[0, 0] += 1e-3
    assert resolve_precision("auto", bundle.model, torch.device("cpu"))[1] != "int8"


def test_eight_bits_lose_only_what_comes_in():
    "Weights on the grid of their scales: the product is that of exact weights and of rows in 16 bits, however many there are."
    if not has_int8():
        pytest.skip("no fast 8-bit weights here")
    torch.manual_seed(0)
    linear = torch.nn.Linear(96, 33)
    whole, scale = eight_bits(linear.weight)
    linear.weight.data = whole * scale[:, None]
    small = Int8Linear(linear)
    for length in (1, SHORT, SHORT + 1, 300):
        x = torch.randn(2, length, 96).bfloat16().float()
        with torch.inference_mode():
            assert torch.allclose(small(x), linear(x), rtol=0.01, atol=0.01)
            assert torch.equal(small(x)[1:], small(x[1:]))


@pytest.mark.parametrize("width", [8, 40, 72])
def test_eight_bits_of_any_width(width):
    "PyTorch's operator reads beyond the end of a row that is no multiple of 16: such layers go another way."
    if not has_int8():
        pytest.skip("no fast 8-bit weights here")
    torch.manual_seed(0)
    linear = torch.nn.Linear(width, 30)
    x = torch.randn(3, 1, width)
    with torch.inference_mode():
        assert torch.allclose(Int8Linear(linear)(x), linear(x), atol=0.1)


@pytest.fixture(scope="module")
def shipped():
    "The model that comes along and what it hears of the demo song."
    bundle = load_bundle("embedded")
    engine = Engine(bundle, "cpu", "int8")
    samples = load_audio(demo_song(), bundle.language.sample_rate)
    heard = engine.encode(cut(samples, plan(len(samples), bundle.language)[:4]))
    return engine, heard, told(bundle, samples)


def test_loops_give_the_scores_of_the_exact_model(shipped):
    "Weights that fit 8 bits exactly: only the order of sums differs from 32 bits."
    pytest.importorskip("numba")
    engine, heard, prompt = shipped
    assert isinstance(engine.read, CompiledStep)
    exact = Engine(load_bundle("embedded"), "cpu", "fp32")
    prompts = torch.tensor([prompt, [0] * 4 + prompt[:-4]])
    with torch.inference_mode():
        memories = [exact.model.new_cache(2, len(prompt) + 64) for _ in range(2)]
        for memory in memories:
            exact.model.prefill(prompts, heard.rows([0, 1]), memory)
        for new in (1, 3, 1):
            ids = torch.randint(3, 2000, (2, new))
            theirs = exact.model.steps(ids, memories[0])
            ours = engine.read(ids, memories[1])
            assert torch.allclose(ours, theirs, atol=1e-3)
            assert torch.equal(memories[0].now, memories[1].now)


def test_loops_do_not_see_neighbours_threads_or_drafts(shipped):
    "The scores of a row are the same bits, alone or beside others, token by token or some at once."
    pytest.importorskip("numba")
    engine, heard, prompt = shipped
    prompts = torch.tensor([prompt] * 6)
    ids = torch.randint(3, 2000, (6, 4), generator=torch.Generator().manual_seed(1))
    whole = engine.model.new_cache(6, len(prompt) + 8)

    def scores(rows: slice, threads: int, at_once: int) -> torch.Tensor:
        whole.length = len(prompt)
        whole.now.fill_(0)
        torch.set_num_threads(threads)
        part = whole.rows(rows)
        return torch.cat([engine.read(some, part) for some in ids[rows].split(at_once, 1)], 1)

    with torch.inference_mode(), threads_kept():
        engine.model.prefill(prompts, heard.rows([0]), whole)
        together = scores(slice(0, 6), 1, 4)
        for rows in (slice(0, 6), slice(2, 3), slice(1, 6)):
            for threads, at_once in ((1, 1), (2, 4), (3, 2)):
                assert torch.equal(scores(rows, threads, at_once), together[rows])


def test_an_adapter_that_is_not_merged_is_read_by_pytorch():
    "The loops know the parts of a model as they were made, and no others."
    bundle = load_bundle("embedded")
    assert compiled_step(bundle.model) is not None
    bundle.model.decoder.layers[0].ff.up = torch.nn.Sequential(bundle.model.decoder.layers[0].ff.up)
    assert compiled_step(bundle.model) is None


def test_without_numba_pytorch_reads(monkeypatch):
    monkeypatch.setattr("mapperatorinator.model.compiled.njit", None)
    engine = Engine(load_bundle("embedded"), "cpu", "int8")
    assert engine.read == engine.model.steps


def test_precisions(engine):
    bundle = load_twin(engine)
    assert Engine(bundle, "cpu", "auto").precisions == ("fp32", "fp32")  # small models stay exact
    with pytest.raises(UserError, match="auto, fp32, bf16 or int8"):
        Engine(bundle, "cpu", "fp16")
    with pytest.raises(UserError, match="needs a CPU"):
        resolve_precision("int8", bundle.model, torch.device("mps"))


def test_drafts_come_true():
    "Trained weights repeat themselves: fewer passes than tokens, and the tokens are the same."
    bundle = load_bundle("embedded")
    drafting = Engine(bundle, "cpu")
    plain = Engine(bundle, "cpu", speculate=0)
    samples = load_audio(demo_song(), bundle.language.sample_rate)
    heard = plain.encode(cut(samples, plan(len(samples), bundle.language)[:1]))
    told = build(
        bundle.tokenizer, bundle.language, Metadata(gamemode=0, difficulty=4.0), [], [Context(C.MAP)], 0.0
    ).ids
    lines = grammar_lines(bundle.language, C.MAP)
    job = lambda: Job(
        [told], heard, [Grammar(bundle.tokenizer, lines), Temperature(0.9), TopP(0.9)], (), generators(3), 200
    )
    assert drafting.generate(job()) == plain.generate(job())
    assert drafting.speed.passes < 0.9 * plain.speed.passes


class Bigram(Rule):
    "A toy language instead of the model's: four tokens, each likely after some."

    per_row = ("last",)

    def __init__(self, seed, vocab):
        self.table = torch.full((12, vocab), -torch.inf)
        self.table[8:, 8:12] = (
            3 * torch.randn(4, 4, generator=torch.Generator().manual_seed(seed))
        ).log_softmax(-1)

    def reset(self, prompts):
        self.last = prompts[:, -1]

    def update(self, ids):
        self.last = ids.clamp(8, 11)  # a line that is none may hold anything

    def __call__(self, scores):
        return self.table[self.last]

    def worth(self, ids):
        return sum(self.table[a, b].item() for a, b in zip([8, *ids], ids))


def test_beams_find_likelier_lines(engine, heard):
    "Greedy is no better than four beams, those no better than all lines; as many beams as there are lines find the best of all."
    gains = []
    for seed in range(6):
        toy = Bigram(seed, engine.tokenizer.vocab_out)
        greedy, four, all = (
            toy.worth(engine.generate(Job([[SOS, 8]], heard.rows([0]), [toy], (), max_new=4, beams=n))[0].ids)
            for n in (1, 4, 64)
        )
        assert greedy <= four + 1e-6 and all == pytest.approx(
            max(map(toy.worth, product(range(8, 12), repeat=4)))
        )
        gains.append(four - greedy)
    assert max(gains) > 0.1


@pytest.mark.parametrize("drawn", [False, True])
def test_rows_search_alone(engine, heard, drawn):
    ps = prompts(engine.tokenizer)
    tok = engine.tokenizer
    rules = [MonotonicTime(tok), TopK(50)]
    seeds = lambda *s: generators(*s) if drawn else None
    together = engine.generate(Job(ps, heard, rules, (2, 6), seeds(1, 2, 3), 20, beams=3))
    for i, p in enumerate(ps):
        assert engine.generate(Job([p], heard.rows([i]), rules, (2, 6), seeds(i + 1), 20, beams=3)) == [
            together[i]
        ]
    others = engine.generate(Job(ps, heard, rules, (2, 6), seeds(4, 5, 6), 20, beams=3))
    assert (others != together) == drawn


def test_beams_keep_the_rules(engine, heard):
    "Each line keeps its own state of the grammar and of time, whatever line it went on from."
    tok = engine.tokenizer
    grammar = Grammar(tok, grammar_lines(language, C.MAP, 0))
    start = [SOS, tok.context_sos[C.MAP]]
    for w in engine.generate(
        Job(
            [start] * 3,
            heard,
            [grammar, TopP(0.9)],
            (2, tok.context_eos[C.MAP]),
            generators(1, 2, 3),
            40,
            beams=3,
        )
    ):
        rule = Grammar(tok, grammar_lines(language, C.MAP, 0))
        at = torch.tensor([start])
        rule.reset(at)
        for id in w.ids:
            assert torch.isfinite(rule(torch.zeros(1, tok.vocab_out))[0, id])
            rule.update(torch.tensor([id]))
        assert len(w.ids) > 5


def test_beams_end(engine, heard):
    "Limits hold for each row, an early stop ends the search sooner or as soon, and the listener can stop it."
    ps = [[SOS] * 120, [SOS, 5]]
    out = engine.generate(Job(ps, heard.rows([0]), stop=(), max_new=20, beams=2))
    assert [(len(w.ids), w.stopped) for w in out] == [(8, False), (20, False)]
    passes = []
    for early in (False, True):
        before = engine.speed.passes
        engine.generate(Job(ps, heard.rows([0]), stop=range(300), max_new=20, beams=2, early_stopping=early))
        passes.append(engine.speed.passes - before)
    assert passes[1] <= passes[0]
    with pytest.raises(Cancelled):
        engine.generate(Job(ps, heard.rows([0]), beams=2), cancel=lambda: True)
