"""The objective of pre-training in torch, timed by ``benchmarks.training_speed`` beside ours.

    python -P benchmarks/torch_pretraining.py torch '{"weights": FILE, "batch": FILE, …}'

A process of its own, which loads none of this package. The first line of its output is JSON, then
it answers each line of its input with the seconds and the loss: "gradient" computes the loss and
the gradients of a batch, "step" clips them too and updates the weights. It is as fast as torch
makes it on a CPU: fused attention, norms and AdamW, clipping by groups.
"""

import json
import sys
import time
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

NO_DECAY = ("bias", "pos_embed", "norm", "start_token", "positional_embedding")


def attention(x: Tensor, weights: dict[str, Tensor], name: str, heads: int, mask: Any) -> Tensor:
    batch, tokens, width = x.shape
    qkv = functional.linear(x, weights[f"{name}.qkv.weight"])
    q, k, v = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    is_causal = mask is None
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=is_causal)
    out = out.transpose(1, 2).reshape(batch, tokens, width)
    return functional.linear(out, weights[f"{name}.proj.weight"])


def norm(x: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(x, weight.shape, weight, 1e-5)


def trunk(x: Tensor, weights: dict[str, Tensor], name: str, heads: int, mask: Any) -> Tensor:
    for number in range(sum(f"{name}.blocks.{n}.norm_1.weight" in weights for n in range(99))):
        block = f"{name}.blocks.{number}"
        y = norm(x, weights[f"{block}.norm_1.weight"])
        x = x + attention(y, weights, f"{block}.attn", heads, mask)
        y = norm(x, weights[f"{block}.norm_2.weight"])
        gate = functional.silu(functional.linear(y, weights[f"{block}.mlp.fc1.weight"]))
        up = functional.linear(y, weights[f"{block}.mlp.fc3.weight"])
        x = x + functional.linear(gate * up, weights[f"{block}.mlp.fc2.weight"])
    return norm(x, weights[f"{name}.post_trunk_norm.weight"])


def loss_of(weights: dict[str, Tensor], batch: dict[str, Tensor], heads: list[int]) -> Tensor:
    pixels, prefix, tokens = batch["pixels"], batch["prefix"], batch["tokens"]
    size, side = len(pixels), pixels.shape[1] // 14
    patches = pixels.view(size, side, 14, side, 14, 3).transpose(2, 3).reshape(size, side**2, 588)
    kernel = weights["encoder.preprocessor.patchifier.proj.weight"].reshape(-1, 588)
    bias = weights["encoder.preprocessor.patchifier.proj.bias"]
    x = functional.linear(patches, kernel, bias)
    x = norm(x, weights["encoder.preprocessor.patchifier.norm.weight"])
    x = x + weights["encoder.preprocessor.pos_embed"]
    place = torch.arange(side**2)
    mask = (place[:, None] >= place) | (place < prefix[:, None, None])
    features = trunk(x, weights, "encoder.trunk", heads[0], mask[:, None])

    project = (weights["decoder.image_projection.weight"], weights["decoder.image_projection.bias"])
    words = functional.embedding(tokens[:, :-1], weights["decoder.text_embedding.weight"])
    start = weights["decoder.start_token"].expand(size, 1, -1)
    places = weights["decoder.positional_embedding"][: tokens.shape[1]]
    words = torch.cat([start, words], dim=1) + places
    joint = torch.cat([functional.linear(features, *project), words], dim=1)
    outputs = trunk(joint, weights, "decoder.trunk", heads[1], None)
    image, text = outputs[:, : side**2], outputs[:, side**2 :]

    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    targets = (patches - mean) * torch.rsqrt(variance + 1e-6)
    predicted = functional.linear(image[:, :-1], weights["decoder.image_head.weight"])
    errors = torch.square(predicted - targets[:, 1:]).mean(dim=-1)
    scored = place[1:] >= prefix[:, None]
    pixel = (errors * scored).sum() / scored.sum()
    logits = functional.linear(text, weights["decoder.text_head.weight"])
    counted = batch["token_mask"].bool()
    each = functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none")
    return (each * counted.flatten()).sum() / counted.sum() + 0.4 * pixel


def answer(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    settings = json.loads(sys.argv[2])
    weights = {
        name: tensor.requires_grad_() for name, tensor in load_file(settings["weights"]).items()
    }
    batch = load_file(settings["batch"])
    batch |= {name: batch[name].long() for name in ("tokens", "prefix")}
    plain = [name for name in weights if any(each in name for each in NO_DECAY)]
    optimizer = torch.optim.AdamW(
        [
            {"params": [weights[name] for name in weights if name not in plain]},
            {"params": [weights[name] for name in plain], "weight_decay": 0.0},
        ],
        lr=settings["rate"],
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=settings["decay"],
        fused=True,
    )
    torch.set_num_threads(settings["threads"])
    answer({"torch": torch.__version__, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        started_s = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(weights, batch, settings["heads"])
        loss.backward()
        gradient_s = time.perf_counter() - started_s
        if line.strip() == "step":
            torch.nn.utils.clip_grad_norm_(weights.values(), 1.0, foreach=True)
            optimizer.step()
        elapsed_s = time.perf_counter() - started_s
        answer({"elapsed_s": elapsed_s, "gradient_s": gradient_s, "loss": loss.item()})


if __name__ == "__main__":
    main()
