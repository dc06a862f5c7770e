"The smallest model that has everything and a short song, for tests that need any at all."

from pathlib import Path

import torch

from mapperatorinator.config import LanguageConfig
from mapperatorinator.model.hub import Bundle, new_bundle
from mapperatorinator.model.mapper import tiny_model
from mapperatorinator.synth.songs import Song, compose_song, write_song


def tiny_bundle(language: LanguageConfig, seed: int = 0, **sizes) -> Bundle:
    "A fresh model for a language."
    torch.manual_seed(seed)
    return new_bundle(tiny_model(**sizes), language)


def tiny_song(folder: Path, seed: int) -> Song:  # its maps are for the test to write
    "Twelve composed seconds, as `audio.ogg` in a folder."
    song = compose_song(seed, 12)
    folder.mkdir(parents=True)
    write_song(folder / "audio.ogg", song.samples, "Synth", "Mapperatorinator")
    return song
