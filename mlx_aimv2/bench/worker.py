"""Work in a process of its own: another's network, or what is to be measured from a fresh start.

    python -P worker.py JOB '{"…": …}'

The first line of its output is JSON: what the job found. A peer then answers each line of its
input with another: "run" with the seconds of a batch, a file's name by saving the features there.
It is run as a file: this package, whose BLAS would come with it, is imported only by the jobs that
compute with MLX.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal

Run = Callable[[], Any]  # features as NumPy takes them, computed to the end
Facts = dict[str, Any]


# Peers


def transformers(settings: Facts) -> tuple[Run, Facts]:
    """AIMv2 of transformers on torch. ``config`` has transformers' keys, ``weights`` its names."""
    torch: Any = import_module("torch")
    _without_broken_torchvision()
    library: Any = import_module("transformers")
    numpy: Any = import_module("numpy")
    load_file = import_module("safetensors.torch").load_file
    config = library.Aimv2VisionConfig(**settings["config"])
    with torch.device("meta"):
        model = library.Aimv2VisionModel._from_config(config, attn_implementation="sdpa")
    model = model.to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1]).expand(buffer.shape))
    model.load_state_dict(load_file(settings["weights"]), strict=True)
    device, dtype = settings["device"], getattr(torch, settings["dtype"])
    model = model.to(device, dtype).eval()
    nhwc = torch.from_numpy(numpy.load(settings["pixels"]))
    pixels = nhwc.permute(0, 3, 1, 2).contiguous().to(device, dtype)

    def run() -> Any:
        with torch.inference_mode():
            features = model(pixel_values=pixels).last_hidden_state
            return features.float().cpu().numpy()  # waits for the device

    versions = {"transformers": library.__version__, "torch": torch.__version__}
    return run, {**versions, "device": device, "threads": torch.get_num_threads()}


def ml_aim(settings: Facts) -> tuple[Run, Facts]:
    """Apple's own MLX module, from the folder of its repository; ``weights`` has its names."""
    import_module("mlx_aimv2")  # first: the same BLAS as ours
    mx: Any = import_module("mlx.core")
    numpy: Any = import_module("numpy")
    sys.path[:0] = [str(Path(settings["path"]) / part) for part in ("aim-v2", "aim-v1")]
    models: Any = import_module("aim.v2.mlx.models")
    model = models.AIMv2VisionEncoder(**settings["sizes"])
    weights = mx.load(settings["weights"])
    dtype = getattr(mx, settings["dtype"])
    model.load_weights([(name, array.astype(dtype)) for name, array in weights.items()])
    mx.eval(model.parameters())
    model.eval()
    nhwc = mx.array(numpy.load(settings["pixels"])).astype(dtype)
    pixels = mx.contiguous(nhwc.transpose(0, 3, 1, 2))  # it takes channels first
    mx.eval(pixels)

    def run() -> Any:
        features = model(pixels)
        mx.eval(features)
        return features

    return run, {"mlx": mx.__version__, "device": str(mx.default_device())}


def _without_broken_torchvision() -> None:
    """A torchvision built for another torch cannot be imported, and transformers would fail."""
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # Python's "absent"


# Fresh starts


def first_image(source: str, path: str) -> Facts:
    """As little as it takes to have an image's embedding."""
    import mlx_aimv2 as aimv2  # noqa: PLC0415

    return {"width": len(aimv2.load(source).embed_images([path])[0])}


def first_text(source: str, text: str) -> Facts:
    """A text's embedding by the text tower alone: the bytes read for it, and its memory."""
    import mlx_aimv2 as aimv2  # noqa: PLC0415

    _import_what_models_need()
    before, peak = bytes_read("rchar"), peak_bytes()
    width = len(aimv2.load(source, tower="text").embed_texts([text])[0])
    return {
        "width": width,
        "read_bytes": None if before is None else bytes_read("rchar", before),
        "peak_bytes": peak_bytes() - peak,
    }


def load_weights(source: str, dtype: Literal["float32", "float16", "bfloat16"]) -> Facts:
    """Loading alone: seconds, bytes from the disk itself, and memory beyond the program's."""
    import mlx_aimv2 as aimv2  # isort: skip  # noqa: PLC0415  (first: the BLAS)
    import mlx.core as mx  # noqa: PLC0415

    _import_what_models_need()
    mx.reset_peak_memory()
    before, peak = bytes_read("read_bytes"), peak_bytes()
    started_s = time.perf_counter()
    aimv2.load(source, dtype=dtype)
    load_s = time.perf_counter() - started_s
    return {
        "load_s": load_s,
        "disk_bytes": None if before is None else bytes_read("read_bytes", before),
        "peak_bytes": peak_bytes() - peak,
        "mlx_peak_bytes": mx.get_peak_memory(),
    }


def embed(source: str, paths: list[str], count: int) -> Facts:
    """So many images from paths taken again and again: memory at the end."""
    import mlx_aimv2 as aimv2  # noqa: PLC0415

    items = aimv2.load(source).stream(islice(cycle(paths), count))
    return {"failed": sum(item.error is not None for item in items), "peak_bytes": peak_bytes()}


def _import_what_models_need() -> None:
    """What a model needs of Python is no part of what its weights take."""
    import mlx_aimv2 as aimv2  # noqa: PLC0415

    import_module("tokenizers")
    assert aimv2.Model is not None


# What a process has taken


def peak_bytes() -> int:
    """The largest that this process has been in memory; pages of mapped files count."""
    status = Path("/proc/self/status")  # what getrusage says is inherited from the parent
    if status.exists():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(each.split()[1]) * 1024 for each in lines if each.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def bytes_read(how: Literal["rchar", "read_bytes"], before: int = 0) -> int | None:
    """What this process has read by calls, or from the disk itself, since it had read ``before``.

    None where the system does not tell.
    """
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(int(each.split()[1]) for each in lines if each.startswith(f"{how}:")) - before


PEERS: dict[str, Callable[[Facts], tuple[Run, Facts]]] = {
    "transformers": transformers,
    "ml-aim": ml_aim,
}
STARTS: dict[str, Callable[..., Facts]] = {
    "first image": first_image,
    "first text": first_text,
    "load": load_weights,
    "embed": embed,
}


def main() -> None:
    job, settings = sys.argv[1], json.loads(sys.argv[2])
    if job in STARTS:
        _answer(STARTS[job](**settings))
        return
    run, facts = PEERS[job](settings)
    _answer(facts)
    for line in sys.stdin:
        command = line.strip()
        started_s = time.perf_counter()
        features = run()
        _answer({"elapsed_s": time.perf_counter() - started_s})
        if command != "run":
            numpy: Any = import_module("numpy")
            numpy.save(command, numpy.array(features, numpy.float32))
            _answer({})


def _answer(facts: Facts) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
