"""Aria in transformers, timed by ``benchmarks.aria_decoding`` beside ours.

    python -P benchmarks/torch_aria.py aria '{"config": {…}, "folder": FOLDER, "prompt": [3, 5], …}'

A process of its own, which loads none of this package. It makes a random model, saves it for the
other side, and answers each line of its input with the seconds and the tokens of one greedy
continuation. Each step is one call of the model, without what ``generate`` does around it.
"""

import json
import sys
import time
from typing import Any

sys.modules["torchvision"] = None  # type: ignore[assignment]  # one for another torch would fail

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AriaConfig, AriaForConditionalGeneration  # noqa: E402


def answer(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def decode(model: Any, prompt: torch.Tensor, count: int) -> dict[str, Any]:
    """The first token is not timed: it is the prompt's."""
    out = model(input_ids=prompt, use_cache=True, logits_to_keep=1)
    token, tokens = out.logits[:, -1].argmax(-1), []
    started_s = time.perf_counter()
    for _ in range(count):
        tokens.append(token)
        out = model(
            input_ids=token[:, None],
            past_key_values=out.past_key_values,
            use_cache=True,
            logits_to_keep=1,
        )
        token = out.logits[:, -1].argmax(-1)
        token.item()
    elapsed_s = time.perf_counter() - started_s
    return {"elapsed_s": elapsed_s, "tokens": torch.cat([*tokens, token]).tolist()}


def main() -> None:
    settings = json.loads(sys.argv[2])
    torch.manual_seed(0)
    torch.set_num_threads(settings["threads"])
    model = AriaForConditionalGeneration(AriaConfig(**settings["config"])).eval()
    model.save_pretrained(settings["folder"])
    prompt = torch.tensor([settings["prompt"]])
    answer(
        {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "threads": torch.get_num_threads(),
        }
    )
    with torch.inference_mode():
        for _ in sys.stdin:
            answer(decode(model, prompt, settings["count"]))


if __name__ == "__main__":
    main()
