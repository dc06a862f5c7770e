"Those who do not want to be learnt from: the list, the tag, and the requests that lean on them."

import pytest

from mapperatorinator.config import GenerateConfig
from mapperatorinator.consent import VARIABLE, opt_out
from mapperatorinator.core import UserError
from mapperatorinator.osu.beatmap import Beatmap, Circle, TimingPoint
from mapperatorinator.request import check_request, read_reference


def written(path, **settings):
    objects = [Circle(100, 100, 500 * i) for i in range(1, 30)]
    Beatmap.new(timing_points=[TimingPoint(0, 500)], hit_objects=objects, **settings).write(path)
    return str(path)


@pytest.fixture
def listed(tmp_path, monkeypatch):
    "A list of our own, named by the environment."
    path = tmp_path / "away.txt"
    path.write_text("4711 Some One\n")
    monkeypatch.setenv(VARIABLE, str(path))


def test_a_mapper_who_opted_out_is_not_imitated(listed):
    with pytest.raises(UserError, match="mapper_id=4711 has opted out"):
        check_request(GenerateConfig(audio_path="x.mp3", mapper_id=4711))
    check_request(GenerateConfig(audio_path="x.mp3", mapper_id=4712))


@pytest.mark.parametrize(
    "settings, why",
    [
        (dict(creator="some_one"), "opted out"),
        (dict(creator="Host", version="Some One's Hard"), "opted out"),
        (dict(creator="Host", tags="a robots: disallow b"), "robots: disallow"),
    ],
)
def test_a_map_that_is_not_to_be_used_is_no_reference(tmp_path, listed, settings, why):
    with pytest.raises(UserError, match=why):
        read_reference(written(tmp_path / "a.osu", **settings))


def test_other_maps_are_references(tmp_path, listed):
    assert read_reference(written(tmp_path / "a.osu", creator="Host", version="Hard")).version == "Hard"


def test_a_list_that_is_not_there_stops_everything(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.txt"))
    with pytest.raises(UserError, match="cannot be read"):
        opt_out()


def test_the_list_of_the_package_can_be_read():
    assert opt_out() is not None
