"Songs for tests: made here, encoded in every container, and damaged as downloads, disks and tools damage them."

import io
import struct

import numpy as np
import soundfile as sf

RATE = 44100


def melody(rate=RATE, seconds=3.0):
    "A rising tone with a sharp attack at 0.5 s; loudest sample well below 1."
    t = np.arange(int(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * (300 * t + 200 * t**2)) * (t > 0.5)).astype(np.float32)


def bursts(seconds=4.0, rate=RATE, seed=0):
    "Noise bursts, eight a second and no two alike: where one lies, nothing else fits."
    rng = np.random.default_rng(seed)
    n = rate // 8
    one = lambda: rng.standard_normal(n + 1) * np.exp(-np.arange(n + 1) / (0.03 * rate))
    x = np.concatenate([one() for _ in range(int(seconds * 8))])[: int(seconds * rate)]
    return (0.12 * np.convolve(x, np.ones(4) / 2, "same")).astype(np.float32)


def write_av(path, samples, codec, rate=RATE, streams=1, format=None, options=None, **tags):
    "Encode mono or stereo samples with PyAV, in as many streams; each is softer than the one before."
    import av

    samples = np.atleast_2d(samples.T)
    with av.open(
        path if hasattr(path, "write") else str(path), "w", format=format, options=options or {}
    ) as box:
        for k, v in tags.items():
            box.metadata[k] = v
        layout = "stereo" if len(samples) == 2 else "mono"
        for _ in range(streams):
            stream = box.add_stream(codec, rate=rate)
            stream.bit_rate = 128_000
            stream.layout = layout
        for number, stream in enumerate(box.streams.audio):
            size = stream.codec_context.frame_size or 1024
            to_its_format = av.AudioResampler(
                format=stream.codec.audio_formats[0].name, layout=layout, rate=rate
            )
            for i in range(0, samples.shape[1], size):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, i : i + size]) * np.float32(0.5**number), "fltp", layout
                )
                frame.rate, frame.pts = rate, i
                for ready in to_its_format.resample(frame):
                    for packet in stream.encode(ready):
                        box.mux(packet)
            for packet in stream.encode(None):
                box.mux(packet)


CODECS = {"m4a": "aac", "aac": "aac", "wma": "wmav2", "mkv": "aac", "mp2": "mp2"}


def encoded(suffix, samples, rate=RATE):
    "A song file as bytes."
    out = io.BytesIO()
    if suffix == "opus":
        import soxr

        sf.write(out, soxr.resample(samples, rate, 48000), 48000, format="OGG", subtype="OPUS")
    elif suffix in CODECS:
        write_av(
            out,
            samples,
            CODECS[suffix],
            rate,
            format={"m4a": "ipod", "aac": "adts", "wma": "asf", "mkv": "matroska"}.get(suffix, suffix),
        )
    else:
        sf.write(out, samples, rate, format=suffix.upper())
    return out.getvalue()


def damage(data, kind, size=3000, at=0.5, seed=0):
    "What happens to files."
    rng = np.random.default_rng(seed)
    i = int(len(data) * at)
    noise = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
    if kind == "overwritten":
        return data[:i] + noise + data[i + size :]
    if kind == "zeroed":
        return data[:i] + bytes(size) + data[i + size :]
    if kind == "inserted":
        return data[:i] + noise + data[i:]
    if kind == "removed":
        return data[:i] + data[i + size :]
    if kind == "cut":
        return data[:i]
    if kind == "junk before":
        return noise[:700] + data
    out = bytearray(data)  # single bits
    for k in rng.integers(int(len(data) * 0.45), int(len(data) * 0.55), 30):
        out[k] ^= 1 << int(rng.integers(8))
    return bytes(out)


def lag(x, y):
    "Samples by which y is later than x."
    n = 1 << int(np.ceil(np.log2(len(x) + len(y))))
    c = np.fft.irfft(np.fft.rfft(y, n) * np.fft.rfft(x, n).conj())
    return (int(c.argmax()) + n // 2) % n - n // 2


def ogg_pages(data):
    "The pages of an Ogg file."
    out, at = [], 0
    while at < len(data):
        size = 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])
        out.append(data[at : at + size])
        at += size
    return out


def wave_of(samples, format=1, bits=16, rate=RATE, size=None, block=None):
    "A wave file with a header that says what it is told; samples: bytes."
    block = block or bits // 8
    head = struct.pack("<HHIIHH", format, 1, rate % 2**32, rate * block % 2**32, block, bits)
    said = len(samples) if size is None else size
    return (
        b"RIFF"
        + struct.pack("<I", (36 + said) % 2**32)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + head
        + b"data"
        + struct.pack("<I", said)
        + samples
    )
