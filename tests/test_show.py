"Pictures of maps: they are drawn for every mode and every odd file, in the right place, and leave nothing behind."

import io
import numpy as np
import pytest
from mapperatorinator.core import UserError
from mapperatorinator.osu import show
from mapperatorinator.osu.beatmap import Beatmap

HEAD = "osu file format v14\n\n[General]\nMode: {mode}\n\n[Difficulty]\nCircleSize:{cs}\n\n[TimingPoints]\n0,500,4,2,0,60,1,0\n4000,-100,4,2,0,60,0,1\n\n[HitObjects]\n"
OBJECTS = "100,100,0,5,0\n400,300,500,1,8\n50,50,1000,6,0,B|200:60|300:200,2,240\n256,192,3000,12,0,4000\n300,100,4500,1,4\n"
HOLDS = "64,192,0,1,0\n192,192,500,128,0,1500:0:0:0:0:\n448,192,500,1,0\n"


def toy(mode: int = 0, cs: int = 4) -> Beatmap:
    return Beatmap.parse(HEAD.format(mode=mode, cs=cs) + (HOLDS if mode == 3 else OBJECTS))


def pixels(fig, dpi=72) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(fig.png(dpi))).convert("RGB"))


@pytest.mark.parametrize("mode", range(4))
def test_every_picture_of_every_mode(mode):
    b = toy(mode)
    mel = np.random.default_rng(0).random((80, 700))
    for fig in (
        show.show_map(b, mel),
        show.show_strip(b, 0, 3),
        show.show_timeline(b, mel=mel),
        show.show_density(b),
        show.show_still(b, 0, 2000),
    ):
        image = pixels(fig)
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 8, "an empty picture"


def test_circle_lies_where_it_should():
    fig = show.show_playfield(toy(), 500, 900)
    image = pixels(fig)
    ax = fig.axes[0]
    x, y = ax.transData.transform((400 + 20, 300))  # right of the number
    colour = image[image.shape[0] - 1 - int(y), int(x)]
    want = np.array(show.mix(show.PALETTE["circle"], show.PALETTE["background"], 0.25)) * 255
    assert np.abs(colour - want).max() < 3
    assert (image == np.round(np.array(show.to_rgb(show.PALETTE["downbeat"])) * 255)).all(-1).sum() == 0


def test_slider_body_follows_its_path_and_width():
    fig = show.show_playfield(toy(), 1000, 1500)
    image = pixels(fig, 144)
    ax = fig.axes[0]
    path = show.slider_points(toy().hit_objects[2])
    radius = 54.4 - 4.48 * 4
    assert abs(np.hypot(*np.diff(path, axis=0).T).sum() - 240) < 1e-6

    def at(p):
        x, y = ax.transData.transform(p) * 144 / 72
        return image[image.shape[0] - 1 - int(y), int(x)].astype(int)

    (x0, y0), (x1, y1) = path[len(path) // 2 - 1], path[len(path) // 2]
    normal = np.array([y0 - y1, x1 - x0]) / np.hypot(x1 - x0, y1 - y0)
    panel = np.round(np.array(show.to_rgb(show.PALETTE["panel"])) * 255)
    fig.draw_without_rendering()
    assert np.abs(at((x0, y0) + normal * radius * 0.7) - panel).max() > 20, "inside the tube"
    assert np.abs(at((x0, y0) + normal * radius * 1.08) - panel).max() < 8, "outside the tube"


def test_mania_lanes_and_taiko_kinds():
    assert [o.column(4) for o in toy(3).hit_objects] == [0, 1, 3]
    assert [show.kind(o, 1) for o in toy(1).hit_objects] == ["don", "kat", "drumroll", "denden", "don"]
    assert all(show.kind(o, m) in show.PALETTE for m in range(4) for o in toy(m).hit_objects)


def test_kiai_and_density_count():
    b = toy()
    assert show.kiai_spans(b) == [(4000, 4500)]
    times, kinds = show.density(b)
    assert sum(v.sum() for v in kinds.values()) * 0.1 == pytest.approx(5) and len(times) == len(
        kinds["circle"]
    )


def test_no_global_state():
    import matplotlib.pyplot as plt

    show.show_map(toy())
    assert plt.get_fignums() == []


def test_save_is_whole_or_not_at_all(tmp_path):
    path = show.save_png(show.show_strip(toy(), 0, 2), tmp_path / "a" / "map.png")
    assert path.read_bytes()[:4] == b"\x89PNG" and [p.name for p in path.parent.iterdir()] == ["map.png"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError):
        show.save_png(show.show_strip(toy(), 0, 2), tmp_path / "file" / "map.png")


@pytest.mark.parametrize(
    "text",
    [
        "osu file format v14\n",
        HEAD.format(mode=0, cs=4),
        "osu file format v14\n\n[HitObjects]\n1,1,1,1,0\n",
        "osu file format v14\n\n[TimingPoints]\n0,1e-9,4,2,0,60,1,0\n\n[HitObjects]\n1,1,1,1,0\n1,1,9000,2,0,L|1:1,1,0\n",
    ],
)
def test_odd_maps_are_drawn(text):
    pixels(show.show_map(Beatmap.parse(text), np.zeros((80, 10))))


@pytest.mark.parametrize("folder", ["standard", "taiko", "catch", "mania", "malformed"])
def test_maps_of_the_corpus_are_drawn(corpus, folder):
    drawn = 0
    for path in sorted((corpus / "beatmaps" / folder).glob("*.osu"), key=lambda p: p.name[::-1])[:60]:
        try:
            b = Beatmap.read(path)
        except UserError:
            continue
        if show.song_end(b) > 2e6:
            continue  # an hour of timeline is drawn too, but not in a test
        show.show_map(b).draw_without_rendering()
        drawn += 1
        if drawn == 1 + (folder == "malformed"):
            return
    assert drawn


@pytest.mark.parametrize("title", ["Ke$ha – $5_{x", "夜に駆ける", "a\\b^{", "\U0001f3b5" * 3, ""])
def test_titles_of_any_script_are_drawn(title):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert show.show_map(toy(), title=title).png()[:4] == b"\x89PNG"
