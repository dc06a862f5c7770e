__version__ = "0.1.0"


def _mend_torchaudio():
    """Let a torchaudio built for another CUDA than PyTorch, or beside a PyTorch without CUDA, be imported.

    That is what pip gives on a machine with the CPU wheel of PyTorch. Such a torchaudio dies at import, and Transformers 5
    dies with it, since it looks inside. Nothing is imported here: both version files are read, and where they do not
    fit, torchaudio's C++ extension is marked as absent, which it knows how to live without."""
    import re, sys
    from importlib.util import find_spec
    from pathlib import Path
    from types import ModuleType

    def cuda_of(package, pattern):
        "Major version of the CUDA that `package` was built for; None when it is missing or built for none."
        spec = find_spec(package)
        file = Path(spec.origin).with_name("version.py") if spec and spec.origin else Path()
        found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
        return found and found[1]

    if "torchaudio" in sys.modules: return
    wanted = cuda_of("torchaudio", r"\+cu(\d\d)")
    if wanted in (None, cuda_of("torch", r"^cuda\b.*= '(\d+)")): return
    extension = ModuleType("torchaudio._extension")
    extension._IS_TORCHAUDIO_EXT_AVAILABLE = extension._IS_ALIGN_AVAILABLE = False
    extension.fail_if_no_align = lambda function: function
    extension._check_cuda_version = lambda: None
    extension._load_lib = lambda name: False
    sys.modules["torchaudio._extension"] = extension


def _wait_asleep():
    """Let threads sleep while they wait for one another, unless the environment says how to wait (see `nbs/03_threads.ipynb`).

    OpenMP's threads spin while they wait, on cores that other programs need; it reads these settings when PyTorch is loaded."""
    import os, sys
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ: return
    os.environ.setdefault("GOMP_SPINCOUNT", "0") # GCC's OpenMP, on Linux: turns before a thread sleeps
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # Intel's and LLVM's, on Windows and macOS: milliseconds


_mend_torchaudio()
_wait_asleep()
