"""Work in a process of its own, whose memory, reading and start are its alone.

    python -m mlx_aimv2.bench.fresh JOB '{"…": …}'

prints one JSON line. The parent calls :func:`run_job`.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

from mlx_aimv2.errors import Aimv2Error

Answer = dict[str, Any]


def run_job(job: str, arguments: Mapping[str, Any]) -> Answer:
    """What a job answers; ``elapsed_s`` is from the start of its process to its answer.

    Errors: Aimv2Error with the last line of what it said where it fails.
    """
    command = [sys.executable, "-m", __name__, job, json.dumps(arguments)]
    started_s = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        answer = process.stdout.readline()
        elapsed_s = time.perf_counter() - started_s
        said = process.stderr.read()
    if not answer or process.returncode:
        reason = (said.strip().splitlines() or ["no answer"])[-1]
        raise Aimv2Error(f"a process that measures {job} failed: {reason}")
    return {"elapsed_s": elapsed_s, **json.loads(answer)}


def first_image(source: str, path: str) -> Answer:
    """As little as it takes to have an image's embedding."""
    return {"width": len(aimv2.load(source).embed_images([path])[0])}


def first_text(source: str, text: str) -> Answer:
    """A text's embedding by the text tower alone: what was read for it, and memory."""
    from .memory import bytes_read, peak_bytes  # noqa: PLC0415

    _import_all()
    before, peak = bytes_read(), peak_bytes()
    model = aimv2.load(source, tower="text")
    width = len(model.embed_texts([text])[0])
    after = bytes_read()
    return {
        "width": width,
        "read_bytes": after.called - before.called if after and before else None,
        "peak_bytes": peak_bytes() - peak,
    }


def load_weights(source: str, dtype: str) -> Answer:
    """Loading alone: seconds, what came from the disk itself, and memory beyond the program's."""
    import mlx.core as mx  # noqa: PLC0415

    from .memory import bytes_read, peak_bytes  # noqa: PLC0415

    _import_all()
    mx.reset_peak_memory()
    before, peak = bytes_read(), peak_bytes()
    started_s = time.perf_counter()
    aimv2.load(source, dtype=dtype)  # type: ignore[arg-type]
    load_s = time.perf_counter() - started_s
    after = bytes_read()
    return {
        "load_s": load_s,
        "disk_bytes": after.from_disk - before.from_disk if after and before else None,
        "peak_bytes": peak_bytes() - peak,
        "mlx_peak_bytes": mx.get_peak_memory(),
    }


def embed(source: str, paths: list[str], count: int) -> Answer:
    """So many images from paths taken again and again: memory at the end."""
    from .memory import peak_bytes  # noqa: PLC0415

    model = aimv2.load(source)
    failed = sum(item.error is not None for item in model.stream(islice(cycle(paths), count)))
    return {"failed": failed, "peak_bytes": peak_bytes()}


def _import_all() -> None:
    """What a model needs of Python is no part of what its weights take."""
    import tokenizers  # noqa: F401, PLC0415

    assert aimv2.Model is not None


JOBS: dict[str, Callable[..., Answer]] = {
    "first image": first_image,
    "first text": first_text,
    "load": load_weights,
    "embed": embed,
}


def main() -> None:
    job, arguments = sys.argv[1:]
    print(json.dumps(JOBS[job](**json.loads(arguments))), flush=True)


if __name__ == "__main__":
    main()
