"""A peer in a process of its own, so that no library of ours is in its way, nor its in ours.

    python -P worker.py KIND '{"…": …}'

It answers each line of its input with one of JSON: to "run" with the seconds of a batch, to a
file's name by saving the features there. It is run as a file: this package, whose BLAS would
come with it, is imported only for ml-aim, which runs on MLX too.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Run = Callable[[], Any]  # features as NumPy takes them, computed to the end
Facts = dict[str, Any]


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
    """One that was built for another torch cannot be imported, and transformers would fail."""
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # Python's "absent"


KINDS: dict[str, Callable[[Facts], tuple[Run, Facts]]] = {
    "transformers": transformers,
    "ml-aim": ml_aim,
}


def main() -> None:
    kind, settings = sys.argv[1:]
    run, facts = KINDS[kind](json.loads(settings))
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
