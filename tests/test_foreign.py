"Files of strangers: read as data, measured before they are believed, refused in one sentence."

import json
import pickle
import random
import shutil
import struct
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import fuzz_foreign
from fuzz_foreign import Long, Toy, Trap, whole
from mapperatorinator import foreign
from mapperatorinator.config import LanguageConfig, ModelConfig, SpectrogramConfig, from_dict
from mapperatorinator.core import UserError
from mapperatorinator.foreign import read_json, read_pickle, read_tensors, typed, write_tensors
from mapperatorinator.model import dit, hub
from mapperatorinator.model.dit import load_denoiser
from mapperatorinator.model.hub import load_bundle, save_bundle
from mapperatorinator.tokenizer import Tokenizer


@pytest.fixture
def copy(tmp_path):
    "A whole folder of its own, such as `ours`."

    def copy(name):
        return shutil.copytree(whole() / name, tmp_path / name)

    return copy


def refused(f, *args):
    "The sentence with which something is refused."
    with pytest.raises(UserError) as e:
        f(*args)
    assert "\n" not in str(e.value) and len(str(e.value)) < 500
    return str(e.value)


def change(path, entry, value):
    "Put a value into a JSON file; the entry is dotted."
    table = json.loads(path.read_text(encoding="utf-8"))
    inside, *keys = table, *entry.split(".")
    for key in keys[:-1]:
        inside = inside[int(key) if isinstance(inside, list) else key]
    inside[int(keys[-1]) if isinstance(inside, list) else keys[-1]] = value
    path.write_text(json.dumps(table), encoding="utf-8")


# --- JSON ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "damaged"),
        (b'{"a": 1', "damaged"),
        (b"version https://git-lfs.github.com/spec/v1", "damaged"),
        (b"[1]", "a list where a table"),
        (b"null", "null where a table"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "Infinity is no number"),
        (b'{"a": 1e999}', "1e999 is no number"),
        (b'{"a": %s}' % (b"9" * 5000), "too large a number"),
        (b'{"a": 1, "a": 2}', 'the key "a" stands twice'),
        (b"[" * 100_000, "without end"),
        (b'{"a":' * 100_000, "without end"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "more than 32 times"),
        ('{"a": 1}'.encode("utf-16"), "no UTF-8"),
        (b'{"a": "\xff"}', "no UTF-8"),
        (b'{"a": "\\ud83d"}', "half a letter"),
        (b"[" + b"[]," * 2_000_000, "has more than 4,000,000 bytes"),
        (b"[" + b"1," * 1_900_000, "damaged"),
        (b"[" + b"," * 2_100_000 + b"1]", "more than 2,000,000 values"),
    ],
)
def test_what_is_no_settings(tmp_path, content, words):
    (tmp_path / "config.json").write_bytes(content)
    assert words in refused(read_json, tmp_path / "config.json")


def test_what_is_settings(tmp_path):
    (tmp_path / "config.json").write_bytes(
        b'\xef\xbb\xbf{"a": "\\ud83d\\ude00", "b": [1, 2.5, -3, true, null]}'
    )
    assert read_json(tmp_path / "config.json") == {"a": "😀", "b": [1, 2.5, -3, True, None]}
    assert "There is no file" in refused(
        read_json, tmp_path / "nothing.json"
    ) and "There is no file" in refused(read_json, tmp_path)


# --- types and bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, words",
    [
        (True, "true; expected a whole number"),
        ("5", '"5"; expected a whole number'),
        (4.0, "4.0; expected a whole number"),
        (None, "null; expected a whole number"),
        ([4], "a list; expected"),
        ({}, "a table; expected"),
        (0, "0; expected 4 to 16,384"),
        (10**30, "expected 4 to 16,384"),
    ],
)
def test_a_width_is_a_whole_number(value, words):
    assert refused(typed, ModelConfig, {"d_model": value}, "config.json", "model").startswith(
        "'config.json': model.d_model is "
    ) and words in refused(typed, ModelConfig, {"d_model": value}, "config.json", "model")


def test_numbers_tables_and_lists_are_filled_by_type():
    made = typed(
        LanguageConfig,
        {
            "max_difficulty": 10,
            "context_types": [{"outputs": ["map"]}],
            "sustain_interval": None,
            "compat": {"flip_places": True},
        },
        "x",
    )
    assert (
        type(made.max_difficulty) is float
        and made.context_types[0].outputs == ["map"]
        and made.sustain_interval is None
        and made.compat.flip_places
    )
    for given in (
        {"context_types": [{"outputs": ["evil"]}]},
        {"context_types": [5]},
        {"context_types": []},
        {"gamemodes": [0, 0]},
        {"gamemodes": [9]},
        {"context_types": [{"inputs": ["map"] * 1000, "outputs": ["map"]}]},
        {"position_range": [0, 1]},
        {"position_range": [5, 1, 0, 9]},
        {"max_difficulty": float("nan")},
        {"add_sv": 1},
        {"compat": []},
        {"x": 1},
    ):
        refused(typed, LanguageConfig, given, "x")


@pytest.mark.parametrize(
    "given",
    [
        {"sample_rate": 0},
        {"hop_length": 0},
        {"hop_length": -1},
        {"n_fft": 0},
        {"n_fft": 10**9},
        {"n_mels": 0},
        {"n_mels": 10**9},
        {"f_min": -1},
        {"f_min": 9000},
        {"f_max": 10**6},
        {"f_max": "8000"},
        {"mel_scale": "evil"},
        {"pad_mode": "evil"},
        {"pad_mode": None},
        {"log": "yes"},
        {"n_fft": 65_536, "n_mels": 2048},
    ],
)
def test_what_no_ear_is(given):
    refused(typed, SpectrogramConfig, given, "config.json")


def test_nothing_is_evaluated(monkeypatch):
    monkeypatch.setenv("A_SECRET", "hf_1234")
    for text in ("${oc.env:A_SECRET}", "${oc.decode:'1+1'}", "${model.d_model}", "${"):
        assert from_dict(SpectrogramConfig, {"pad_mode": text}).pad_mode == text
        assert text in refused(typed, SpectrogramConfig, {"pad_mode": text}, "config.json")


# --- pickles -------------------------------------------------------------------------------------------------------------


def laughs():
    "A list of lists of lists, a billion leaves for a few bytes."
    out = [1]
    for _ in range(9):
        out = [out] * 10
    return out


def loop():
    out = []
    out.append(out)
    return out


@pytest.mark.parametrize(
    "value, words",
    [
        ({"a": Trap()}, "could run code"),
        ({"a": Long()}, "could run code"),
        ({"a": {1}}, "could run code"),
        ({"a": 1j}, "could run code"),
        ({"a": torch.ones(2).long()}, "torch.LongStorage"),
        ({"a": torch.ones(2).to_sparse()}, "torch.LongStorage"),
        ({"a": torch.ones(2).bool()}, "torch.BoolStorage"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "torch.ComplexFloatStorage"),
        ({"a": torch.ones(2).untyped_storage()}, "UntypedStorage"),
        ({"a": torch.zeros(1).expand(10**9, 10**9)}, "unfold"),
        ({"a": torch.zeros(4).as_strided((9000, 9000), (0, 0))}, "unfold"),
        ({"a": laughs()}, "unfold"),
        ({"a": loop()}, "unfold"),
        ([torch.ones(1)], "a list where a table of tensors"),
        (None, "null where"),
        (torch.ones(1), "where a table of tensors"),
        ({"a": "b"}, 'a is "b" and no tensor'),
        ({5: torch.ones(1)}, "5 is no name"),
        ({"a": torch.tensor([1.0, torch.nan])}, "a holds NaN"),
        ({"a": {"b": torch.tensor([torch.inf])}}, "a.b holds infinity"),
    ],
)
def test_what_pickled_weights_may_not_hold(tmp_path, value, words):
    torch.save(value, tmp_path / "w.bin")
    assert words in refused(read_tensors, tmp_path / "w.bin")


def test_files_that_are_no_pickle_of_weights(tmp_path):
    path = tmp_path / "w.bin"
    torch.save({"a": torch.ones(99)}, path)
    good = path.read_bytes()
    for content in (b"", b"PK", good[:-9], good[:200], good[9:], pickle.dumps({"a": 1}), bytes(500)):
        path.write_bytes(content)
        assert "is damaged" in refused(read_tensors, path)
    torch.save({"a": torch.ones(99)}, path, _use_new_zipfile_serialization=False)  # of PyTorch before 1.6
    assert "is damaged" in refused(read_tensors, path)
    assert "is damaged" in refused(read_tensors, tmp_path)


def test_a_packed_archive_is_not_unfolded(tmp_path):
    "Zeros shrink to a thousandth; the archive says so, and PyTorch would unpack it."
    torch.save({"a": torch.zeros(10**6)}, tmp_path / "plain.bin")
    with (
        zipfile.ZipFile(tmp_path / "plain.bin") as plain,
        zipfile.ZipFile(tmp_path / "w.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "w.bin").stat().st_size < 10_000 and "unfold" in refused(
        read_tensors, tmp_path / "w.bin"
    )


def test_a_storage_longer_than_its_file_is_not_read(tmp_path):
    "The length that a pickle names is not believed: nothing beyond the file is ever read."
    torch.save({"a": torch.arange(40.0)}, tmp_path / "w.bin")
    data = (tmp_path / "w.bin").read_bytes()
    with zipfile.ZipFile(tmp_path / "w.bin") as old, zipfile.ZipFile(tmp_path / "long.bin", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(
                name, content.replace(b"K(", b"M\xff\xff") if name.endswith("data.pkl") else content
            )  # 40 becomes 65535
    assert data and "is damaged" in refused(read_tensors, tmp_path / "long.bin")


def test_what_is_plain_comes_back(tmp_path):
    state = {"a": torch.ones(2, 3), "b": {"c": [1, 2.5, None, True, "x", (1, 2)], 5: torch.zeros(2).half()}}
    write_tensors(tmp_path / "w.pt", state)
    back = read_pickle(tmp_path / "w.pt")
    assert (
        torch.equal(back["a"], state["a"])
        and back["b"]["c"] == state["b"]["c"]
        and back["b"][5].dtype is torch.float16
    )


# --- a model -------------------------------------------------------------------------------------------------------------

ODD = [
    ("model", None),
    ("model", 5),
    ("model.d_model", "x"),
    ("model.d_model", -1),
    ("model.d_model", 1e30),
    ("model.d_model", 18),
    ("model.n_heads", 0),
    ("model.n_heads", 3),
    ("model.norm", "evil"),
    ("model.positions", "../x"),
    ("model.conditions", ["evil"]),
    ("model.conditions", "difficulty"),
    ("model.spectrogram", []),
    ("model.vocab_in", 5),
    ("model.vocab_out", 10**7),
    ("model.time_start", 4),
    ("model.max_frames", 32),
    ("model.frame_heads", -1),
    ("model.project_input", 1),
    ("language", None),
    ("language.src_seq_len", 0),
    ("language.src_seq_len", 65_536),
    ("language.hop_length", 64),
    ("language.sample_rate", 44_100),
    ("language.add_distances", True),
    ("language.position_precision", 0),
    ("language.sustain_interval", -1),
    ("gamemodes", 5),
    ("gamemodes", "all"),
    ("gamemodes", [0, 99, "x"]),
    ("gamemodes", [0, 99]),
    ("gamemodes", []),
    ("gamemodes", [0, 0]),
    ("gamemodes", None),
    ("layout", True),
    ("layout", "1"),
    ("layout", None),
]


@pytest.mark.parametrize("entry, value", ODD, ids=[f"{e}={v}"[:40] for e, v in ODD])
def test_a_config_that_no_model_has(copy, entry, value):
    change((folder := copy("ours")) / "config.json", entry, value)
    refused(load_bundle, folder)


def forbidden(*args, **kwargs):
    raise AssertionError("it was built")


@pytest.mark.parametrize(
    "entry, value, words",
    [
        ("model.encoder_layers", 10**6, "expected 1 to 200"),
        ("model.decoder_layers", 100, "says 100 layers of decoder.layers and the weights hold 1"),
        ("model.encoder_layers", 2, "the weights hold 1"),
        ("model.spectrogram.n_fft", 10**9, "n_fft"),
        ("model.d_model", 10**9, "d_model"),
    ],
)
def test_sizes_are_compared_with_the_weights_before_anything_is_built(copy, monkeypatch, entry, value, words):
    change((folder := copy("ours")) / "config.json", entry, value)
    monkeypatch.setattr(hub, "Mapper", forbidden)
    assert words in refused(load_bundle, folder)


@pytest.mark.parametrize(
    "entry, value",
    [
        ("backbone_model_name", 5),
        ("backbone_config", None),
        ("backbone_config.encoder_layers", 10**6),
        ("backbone_config.encoder_layers", 3),
        ("backbone_config.d_model", "32"),
        ("backbone_config.encoder_attention_heads", 0),
        ("n_mels", 10**9),
        ("vocab_size", 7),
        ("vocab_size_in", 7),
        ("num_mappers", -1),
        ("do_mapper_embed", "yes"),
        ("pad_mode", "${oc.env:HOME}"),
        ("spectrogram_implementation", "evil"),
        ("rhythm_weight", "x"),
        ("model_type", None),
        ("cond_dim", 64),
    ],
)
def test_a_published_config_that_no_model_has(copy, entry, value):
    change((folder := copy("published")) / "config.json", entry, value)
    refused(load_bundle, folder)


def test_what_a_stranger_wrote_is_saved_as_it_stood(copy, tmp_path, monkeypatch):
    "No environment variable gets into what is saved or published."
    monkeypatch.setenv("A_SECRET", "hf_1234")
    change((folder := copy("published")) / "config.json", "note", "${oc.env:A_SECRET}")
    save_bundle(load_bundle(folder), tmp_path / "out")
    texts = "".join(
        p.read_text(encoding="utf-8") for p in (tmp_path / "out").iterdir() if p.suffix in (".json", ".md")
    )
    assert "${oc.env:A_SECRET}" in texts and "hf_1234" not in texts


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda t: t.fill_(torch.nan), "head.weight holds NaN"),
        (lambda t: t / 0, "head.weight holds"),
        (lambda t: t.bool(), "holds bool"),
        (lambda t: t.to(torch.complex64), "holds complex64"),
        (lambda t: t.to(torch.float8_e4m3fn), "holds float8"),
        (lambda t: t.long(), "holds int64"),
        (lambda t: t.double() * 1e300, "too large for torch.float32"),
        (lambda t: t[:5], "head.weight is (5, 16) where config.json says"),
        (lambda t: t[0], "head.weight is (16,)"),
    ],
)
def test_weights_are_refused_by_name(copy, spoil, words):
    weights = load_file((folder := copy("ours")) / "model.safetensors")
    save_file(
        weights | {"head.weight": spoil(weights["head.weight"]).contiguous()}, folder / "model.safetensors"
    )
    assert words in refused(load_bundle, folder)


def test_one_single_nan_is_found(copy):
    weights = load_file((folder := copy("ours")) / "model.safetensors")
    weights["decoder.embed.weight"][77, 3] = torch.nan
    save_file(weights, folder / "model.safetensors")
    assert "decoder.embed.weight holds NaN" in refused(load_bundle, folder)


def test_a_header_that_lies_is_not_believed(copy):
    path = (folder := copy("ours")) / "model.safetensors"
    for header in (
        b"{}",
        b"[" * 9000,
        json.dumps({"head.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}).encode(),
        json.dumps({"head.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8**9]}}).encode(),
    ):
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
        refused(load_bundle, folder)
    path.write_bytes(struct.pack("<Q", 2**63))
    refused(load_bundle, folder)


def test_files_of_too_many_tensors_are_not_unfolded(copy, monkeypatch):
    monkeypatch.setattr(foreign, "MOST_TENSORS", 9)
    assert "expected 9 at most" in refused(load_bundle, copy("ours"))


def test_a_tensor_that_stands_in_two_files_is_refused(copy):
    folder = copy("parts")
    shutil.copy(folder / "model-1.safetensors", folder / "model-2.safetensors")
    change(
        folder / "model.safetensors.index.json",
        "weight_map",
        {"a": "model-1.safetensors", "b": "model-2.safetensors"},
    )
    assert "is in another file as well" in refused(load_bundle, folder)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "model-1.safetensors",
        {"a": None},
        {"a": ["model-1.safetensors"]},
        {"a": "../ours/model.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "tokenizer.json"},
        {"a": "model/../../x.safetensors"},
    ],
)
def test_an_index_names_files_of_its_folder(copy, value):
    change((folder := copy("parts")) / "model.safetensors.index.json", "weight_map", value)
    assert "weight_map" in refused(load_bundle, folder)


def test_two_files_of_different_models(copy):
    folder = copy("ours")
    other = Tokenizer.from_config(LanguageConfig(src_seq_len=64, tgt_seq_len=48, add_distances=True))
    other.save(folder / "tokenizer.json")
    assert "does not agree" in refused(load_bundle, folder)


# --- vocabularies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry, value, words",
    [
        ("event_ranges.0.max_value", 10**18, "more than 131,072"),
        ("event_ranges.0.max_value", 10**9, "more than 131,072"),
        ("event_ranges.0.min_value", -(10**18), "more than"),
        ("event_ranges.0.max_value", -5, "down to"),
        ("event_ranges.0.type", "evil", "evil"),
        ("event_ranges.1.type", "t", "two ranges"),
        ("event_ranges", None, "disagree"),
        ("event_ranges", [5], "a table"),
        ("event_ranges", [], "no times"),
        ("offset", 10**12, "offset"),
        ("offset", -1, "offset"),
        ("offset", 4, "context"),
        ("context_sos.map", 10**9, "among the events"),
        ("context_sos.map", 3, "two ids"),
        ("context_eos", {}, "two ids"),
        ("context_sos", {"evil": 3}, "two ids"),
        ("max_difficulty", 0, "no scale"),
        ("num_diff_classes", 0, "no scale"),
        ("vocab_size_in", "x", "whole number"),
        ("vocab_size_out", 10**9, "disagree"),
        ("max_difficulty", 1e-300, "no scale"),
        ("num_diff_classes", 10**18, "no scale"),
        ("mapper_idx", {"7": 10**9}, "outside its table"),
        ("mapper_idx", {"7": -1}, "outside its table"),
        ("descriptor_idx", {"a": 99}, "outside its table"),
        ("mapper_idx", {"x": 0}, "mapper_idx's key"),
        ("mapper_idx", [1], "a table"),
        ("descriptor_idx", {"a": "b"}, "descriptor_idx"),
        ("beatmap_descriptors", {"5": 5}, "a list"),
        ("event_start", {"t": 0}, "disagree"),
        ("event_start", {"evil": 0}, "evil"),
    ],
)
def test_a_vocabulary_that_no_model_has(copy, monkeypatch, entry, value, words):
    change((folder := copy("ours")) / "tokenizer.json", entry, value)
    assert words in refused(load_bundle, folder)


def test_windows_and_mappers_are_those_of_the_vocabulary(copy):
    "A shorter hop would cut a song into many small windows; a mapper beyond the table would be nobody's."
    change((folder := copy("published")) / "config.json", "hop_length", 32)
    assert "it lasts 126 ms and has 51 times of 10 ms" in refused(load_bundle, folder)
    change(folder / "config.json", "hop_length", 128)
    load_bundle(folder)
    change(folder / "tokenizer.json", "mapper_idx", {"7": 8})
    change(folder / "tokenizer.json", "num_mapper_classes", 9)
    assert "about the mappers: 3 and number 8" in refused(load_bundle, folder)


def test_a_vocabulary_without_sizes(copy):
    table = json.loads(((folder := copy("ours")) / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(
        json.dumps({k: v for k, v in table.items() if k != "vocab_size_in"})
    )
    assert "vocab_size_in is missing" in refused(load_bundle, folder)


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        "x",
        5,
        {},
        {5: 5},
        {"vocab_size_out": 5},
        {"vocab_size_out": torch.ones(1), "vocab_size_in": 1},
    ],
)
def test_a_pickled_vocabulary_that_is_none(copy, value):
    torch.save(value, (folder := copy("trainer")) / "custom_checkpoint_0.pkl")
    refused(load_bundle, folder)


@pytest.mark.parametrize(
    "value", [None, [], "x", {}, {"a": torch.ones(1)}, {"transformer.proj_out.weight": torch.ones(3)}, {5: 5}]
)
def test_pickled_weights_that_are_none(copy, value):
    torch.save(value, (folder := copy("trainer")) / "pytorch_model.bin")
    refused(load_bundle, folder)


# --- denoisers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry, value, words",
    [
        ("layout", 1, "no denoiser"),
        ("model", None, "a table"),
        ("model.depth", 10**6, "expected 1 to 200"),
        ("model.depth", 7, "the weights hold 1"),
        ("model.width", 40_000, "expected"),
        ("model.width", 32, "where config.json says"),
        ("model.heads", 0, "heads"),
        ("model.heads", 3, "shared"),
        ("model.noise", "evil", "cosine or linear"),
        ("model.trained_steps", 10**9, "trained_steps"),
        ("classes", [], "a table"),
        ("classes.mapper_count", 10**25, "too large a number"),
        ("classes.mapper_count", 10**18, "classes"),
        ("classes.mapper_count", -1, "classes"),
        ("classes.mapper_count", 9, "where config.json says"),
        ("classes.mappers", {"7": 99}, "not among"),
        ("classes.mappers", {"x": 0}, "key"),
        ("classes.max_difficulty", 0, "no scale"),
        ("classes.max_difficulty", 1e-300, "no scale"),
        ("classes.x", 1, "is no setting"),
    ],
)
def test_a_denoiser_that_none_is(copy, monkeypatch, entry, value, words):
    change((folder := copy("denoiser")) / "config.json", entry, value)
    if words.startswith(("expected", "the weights hold")):
        monkeypatch.setattr(dit, "DiT", forbidden)
    assert words in refused(load_denoiser, folder)


@pytest.mark.parametrize(
    "name, content",
    [
        ("config.json", b""),
        ("config.json", b"[1]"),
        ("config.json", b'{"layout": 2}'),
        ("model.safetensors", b""),
        ("model.safetensors", b"junk" * 99),
    ],
)
def test_a_damaged_denoiser(copy, name, content):
    ((folder := copy("denoiser")) / name).write_bytes(content)
    refused(load_denoiser, folder)


def test_a_denoiser_of_too_large_numbers(copy):
    weights = load_file((folder := copy("denoiser")) / "model.safetensors")
    save_file({name: value.double() + 1e300 for name, value in weights.items()}, folder / "model.safetensors")
    assert "holds infinity" in refused(load_denoiser, folder)


@pytest.mark.parametrize("name", ["model_ema.pkl", "tokenizer.pkl"])
@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        {},
        "x",
        {"a": Trap()},
        {"context_embedder.mlp.0.weight": torch.ones(3)},
        {"beatmap_idx": [], "num_classes": 0, "num_diff_classes": 1, "max_difficulty": 1},
    ],
)
def test_a_published_denoiser_that_is_none(copy, name, value):
    torch.save(value, (folder := copy("osu-diffusion")) / name)
    refused(load_denoiser, folder)


def test_denoisers_that_do_not_exist():
    for name in ("nothing", "a" * 5000, "x/y.git", "../../x", "-x/y", "a\0b", "~nobody_at_all/x"):
        refused(load_denoiser, name)


# --- checkpoints ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, words", [(b"", "damaged"), (b"junk", "damaged"), (None, "damaged"), ("cut", "damaged")]
)
def test_a_checkpoint_that_is_damaged(copy, content, words):
    path = (folder := copy("run")) / "checkpoint.pt"
    data = path.read_bytes()
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(data[: len(data) // 2] if content == "cut" else content)
    said = refused(Toy(folder).resume)
    assert words in said and "run=FOLDER" in said


FOREIGN = [
    [1],
    {"model": 5},
    {"step": "x"},
    {"log": {}},
    {"minutes": None},
    {"optimizers": []},
    {"optimizers": [5]},
    {"optimizers": [{"state": {}, "param_groups": []}]},
    {"model": {"weight": torch.ones(3, 3)}},
    {"model": {"weight": torch.ones(3, 3), "bias": torch.tensor([1, 2, torch.nan])}},
    {"model": {"weight": "x", "bias": "y"}},
    {"step": -5},
    {"step": True},
    {"step": 10**30},
    {"minutes": float("nan")},
    {"minutes": -1},
    {"log": [5]},
    {"log": [{}]},
    {"log": [{"step": torch.ones(1)}]},
    {"log": [{"step": 1, 5: 5}]},
    {"model": {"weight": torch.ones(3, 3).double() * 1e300, "bias": torch.ones(3).double()}},
    {"model": {"weight": torch.ones(3, 3).half(), "bias": torch.ones(3).half()}},
]


@pytest.mark.parametrize("part", FOREIGN, ids=range(len(FOREIGN)))
def test_a_checkpoint_of_another_program(copy, part):
    path = (folder := copy("run")) / "checkpoint.pt"
    torch.save(part if isinstance(part, list) else torch.load(path, weights_only=True) | part, path)
    run = Toy(folder)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    refused(run.resume)
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items()) and run.step == 1


MOMENT = [
    ("exp_avg", None),
    ("exp_avg", torch.tensor(1.0)),
    ("exp_avg_sq", -torch.ones(3, 3)),
    ("step", torch.ones(3, 3)),
    ("step", torch.tensor(-1.0)),
    ("step", 1),
    ("x", torch.ones(3, 3)),
]


@pytest.mark.parametrize("name, value", MOMENT, ids=range(len(MOMENT)))
def test_moments_that_no_optimizer_keeps(copy, name, value):
    path = (folder := copy("run")) / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    moments = state["optimizers"][0]["state"][0]
    if value is None:
        moments.pop(name)
    else:
        moments[name] = value
    torch.save(state, path)
    assert "one has other moments" in refused(Toy(folder).resume)


@pytest.mark.parametrize(
    "rate, value", [("lr", float("inf")), ("lr", None), ("peak", -1.0), ("peak", float("nan")), ("peak", "x")]
)
def test_rates_that_none_are(copy, rate, value):
    path = (folder := copy("run")) / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state["optimizers"][0]["param_groups"][0][rate] = value
    torch.save(state, path)
    assert "as a learning rate" in refused(Toy(folder).resume)


def test_how_an_optimizer_works_is_not_taken_from_a_file(copy):
    "Its rates and moments are; for the rest, the run's own settings hold."
    path = (folder := copy("run")) / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    state["optimizers"][0]["param_groups"][0] |= {
        "betas": "x",
        "eps": None,
        "amsgrad": True,
        "capturable": True,
        "weight_decay": float("nan"),
        "peak": 0.5,
        "evil": 1,
    }
    torch.save(state, path)
    group = Toy(folder).resume().optimizers[0].param_groups[0]
    own = Toy(folder).optimizers[0].param_groups[0]
    assert {k: v for k, v in group.items() if k != "params"} == {
        k: v for k, v in own.items() if k != "params"
    }


def test_a_checkpoint_of_other_settings_says_which(copy):
    run = Toy(copy("run"))
    run.conf.model.d_model, run.conf.language.tgt_seq_len = 64, 99
    with pytest.raises(UserError) as e:
        run.resume()
    assert [line.partition(",")[0] for line in e.value.args] == [
        "model.d_model=64",
        "language.tgt_seq_len=99",
    ]
    assert "began with language.tgt_seq_len=2560" in str(e.value)
    run = Toy(run.folder)
    run.model = nn.Linear(3, 4)
    assert "weight is (3, 3) where these settings ask for (4, 3)" in refused(run.resume)
    run = Toy(run.folder)
    run.optimizers *= 2
    assert "other optimizers" in refused(run.resume)


def test_a_whole_checkpoint_goes_on(copy):
    run = Toy(folder := copy("run"))
    run.step = 9
    run.save()
    again = Toy(folder).resume()
    assert again.step == 9 and again.optimizers[0].state_dict()["state"][0]["step"] == 1


@pytest.mark.parametrize("writer", ["torch.save", "safetensors.torch.save_file"])
def test_a_full_disk_is_said_and_nothing_is_lost(copy, monkeypatch, writer):
    "What the two libraries raise when a disk is full, each an exception of its own."
    run = Toy(folder := copy("run"))
    before = (folder / "checkpoint.pt").read_bytes()
    full = (
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")
        if writer == "torch.save"
        else foreign.SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )
    )

    def fails(*args):
        raise full

    monkeypatch.setattr(writer, fails)
    said = (
        refused(run.save)
        if writer == "torch.save"
        else refused(save_bundle, load_bundle(whole() / "ours"), folder)
    )
    assert "could not be written" in said and "make room" in said
    assert (folder / "checkpoint.pt").read_bytes() == before and sorted(p.name for p in folder.iterdir()) == [
        "checkpoint.pt",
        "config.yaml",
        "log.jsonl",
    ]


# --- anything ------------------------------------------------------------------------------------------------------------


def test_files_of_strangers_are_read_or_refused():
    "Whatever is in a file, it is refused in a sentence, or the model works and is saved as it was loaded."
    answers = [answer(number) for number in range(48)]
    assert sum(answers) > 24


def answer(number):
    try:
        fuzz_foreign.walk(fuzz_foreign.foreign_inputs(random.Random(number)))
    except UserError as e:
        assert str(e).isprintable()
    else:
        return False
    return True
