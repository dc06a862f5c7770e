"The network in every published shape and ours: causal, blind to padding, and the same step by step, padded, packed or whole."

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from mapperatorinator.config import SpectrogramConfig
from mapperatorinator.model.mapper import Conditioning, Mapper
from mapperatorinator.model.mapper import tiny_model

OURS = tiny_model(
    encoder_layers=2,
    decoder_layers=2,
    global_attn_every_n_layers=2,
    vocab_in=120,
    vocab_out=100,
    time_start=3,
    time_end=53,
    max_frames=64,
    max_tokens=48,
)
VAR = replace(OURS, time_pointer=False, frame_heads=0, global_attn_every_n_layers=1)
ROPE = replace(VAR, conditions=["difficulty", "mapper", "song_position"], condition_width=16, num_mappers=3)
WHISPER = replace(
    VAR,
    norm="layer",
    positions="table",
    project_input=True,
    spectrogram=SpectrogramConfig(n_mels=96, f_min=0, mel_scale="slaney", pad_mode="constant", log=False),
)
SHAPES = {"v28": WHISPER, "v31": ROPE, "v32": VAR, "ours": OURS}
CLOSE = dict(atol=2e-5, rtol=1e-4)


@pytest.fixture(params=SHAPES)
def heard(request):
    "A model, two windows as it hears them, and two lines of tokens."
    torch.manual_seed(0)
    model = Mapper(SHAPES[request.param]).eval()
    wishes = Conditioning(
        torch.tensor([5.3, 2]), torch.tensor([2, -1]), torch.tensor([[0, 0.1], [0.5, 1.02]])
    )
    with torch.no_grad():
        encoded = model.encode(torch.randn(2, 63 * 128) * 0.1, wishes if model.c.conditions else None)
    ids = torch.randint(53, 100, (2, 12))
    ids[:, 0], ids[:, 4], ids[:, 8] = 1, 20, 31
    return model, encoded, ids


@torch.inference_mode()
@pytest.mark.parametrize("mask", ["none", "all real", "left", "right"])
def test_causal(heard, mask):
    "Later tokens never change earlier scores, whatever the mask says."
    model, encoded, ids = heard
    real = torch.ones_like(ids, dtype=torch.bool)
    if mask == "left":
        ids[1, :3], real[1, :3] = 0, False
    if mask == "right":
        ids[1, 10:], real[1, 10:] = 0, False
    later = ids.clone()
    later[:, 7:10] = torch.tensor([60, 45, 70])
    scores, other = (model.decode(x, encoded, None if mask == "none" else real) for x in (ids, later))
    seen = real.clone()
    seen[:, 7:] = False
    torch.testing.assert_close(scores[seen], other[seen], **CLOSE)
    assert (scores[:, 8] - other[:, 8]).abs().max() > 1e-4


@torch.inference_mode()
@pytest.mark.parametrize("left, right", [(3, 0), (0, 4), (2, 2)])
def test_padding_changes_nothing(heard, left, right):
    model, encoded, ids = heard
    padded = F.pad(ids, (left, right))
    real = F.pad(torch.ones_like(ids), (left, right)).bool()
    want = model.decode(ids, encoded)
    torch.testing.assert_close(model.decode(padded, encoded, real)[real].view_as(want), want, **CLOSE)


@torch.inference_mode()
def test_packed_rows(heard):
    "Rows laid end to end give the scores they have alone."
    model, encoded, ids = heard
    packed = model.decode_packed(torch.cat([ids[0], ids[1, :5]]), torch.tensor([12, 5]), encoded)
    alone = [model.decode(ids[:1], encoded.rows([0]))[0], model.decode(ids[1:, :5], encoded.rows([1]))[0]]
    torch.testing.assert_close(packed, torch.cat(alone), **CLOSE)


@torch.inference_mode()
@pytest.mark.parametrize("left", [0, 3])
def test_cached_steps_equal_the_full_pass(heard, left):
    "One row longer than the other, tokens one by one and several at once."
    model, encoded, ids = heard
    full = model.decode(ids, encoded)
    cache = model.new_cache(2)
    prompts = F.pad(ids[:, :6], (left, 0))
    got = [
        model.prefill(prompts, encoded, cache),
        *(model.step(ids[:, i], cache) for i in (6, 7)),
        model.step(ids[:, 8:], cache),
    ]
    torch.testing.assert_close(torch.stack(got, 1), full[:, [5, 6, 7, 11]], **CLOSE)


@torch.inference_mode()
def test_rows_do_not_see_each_other(heard):
    "A short prompt beside a long one, in a cache that was used before, gives what it gives alone."
    model, encoded, ids = heard
    cache = model.new_cache(2)
    model.prefill(ids, encoded, cache)
    model.step(ids[:, 5], cache)
    short = ids.clone()
    short[1] = F.pad(ids[1, :5], (7, 0))
    both = [model.prefill(short, encoded, cache)[1], model.step(torch.tensor([60, 61]), cache)[1]]
    alone = model.new_cache(1)
    one = encoded.rows([1])
    want = [model.prefill(ids[1:, :5], one, alone)[0], model.step(torch.tensor([61]), alone)[0]]
    torch.testing.assert_close(torch.stack(both), torch.stack(want), **CLOSE)


def test_a_full_cache_says_so(heard):
    model, encoded, ids = heard
    with pytest.raises(ValueError, match="holds 12 tokens and 13"):
        cache = model.new_cache(2, 12)
        model.prefill(ids, encoded, cache)
        model.step(ids[:, 0], cache)


def test_conditions_are_heard():
    "Stars, mapper and place each change what v31 hears, and all unknown mappers are one."
    torch.manual_seed(0)
    model = Mapper(ROPE).eval()
    samples = torch.randn(1, 63 * 128) * 0.1

    def states(stars=5.0, mapper=1, place=(0, 0.1)):
        with torch.no_grad():
            return model.encode(
                samples, Conditioning(torch.tensor([stars]), torch.tensor([mapper]), torch.tensor([place]))
            ).states

    plain = states()
    assert all(
        (plain - states(**other)).abs().max() > 1e-4
        for other in (dict(stars=2.0), dict(mapper=2), dict(place=(0.5, 0.6)))
    )
    assert torch.equal(states(mapper=-1), states(mapper=3)) and torch.equal(
        states(mapper=3), states(mapper=99)
    )


def test_loss_weights(heard):
    "Time tokens and rows count as often as they are told to."
    model, encoded, ids = heard
    logits = model.decode(ids, encoded)
    labels = ids.masked_fill(ids < 3, -100)
    one = model.cross_entropy(logits, labels)
    rows = [model.cross_entropy(logits[i : i + 1], labels[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(
        model.cross_entropy(logits, labels, 1.0, torch.tensor([1, 0.5])), rows[0] + 0.5 * rows[1]
    )
    times = model.cross_entropy(logits, labels.masked_fill(labels >= 53, -100))
    torch.testing.assert_close(model.cross_entropy(logits, labels, 3.0), one + 2 * times)
