"""A causal model of a few thousand numbers in a folder, and what autograd says of its gradients, one row at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

torch.set_num_threads(1)  # two are slower than one where the machine is busy

COOKING = ["boil the rice in salted water", "stir the soup and add salt", "bake the bread in a hot oven", "fry the onion in butter",
           "slice the onion and boil it", "salt the butter and stir", "add rice to the hot soup", "bake the onion in salted butter"]
SAILING = ["the ship left port at dawn", "raise the sail and hold the wind", "the captain read the stars", "a storm broke the mast",
           "the wind turned at dawn", "hold the mast in a storm", "the captain left the ship", "raise the stars at port"]


def make(folder: Path, kind: str = "llama", *, steps: int = 0, context: int = 64, seed: int = 0) -> Path:
    """A Llama (no biases, gated) or GPT-2 (Conv1D with biases) of two layers, after `steps` steps of training on all texts."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    reader = Tokenizer(models.BPE())
    reader.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<e>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    reader.train_from_iterator([*COOKING, *SAILING] * 3, trainer)
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=reader, eos_token="<e>")
    words.save_pretrained(folder)
    torch.manual_seed(seed)
    if kind == "llama":
        shape = transformers.LlamaConfig(vocab_size=300, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                                         num_key_value_heads=1, max_position_embeddings=context, bos_token_id=0, eos_token_id=0)
        model: Any = transformers.LlamaForCausalLM(shape)
    else:
        config = transformers.GPT2Config(vocab_size=300, n_positions=context, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
        model = transformers.GPT2LMHeadModel(config)
    train(model.eval(), [words(t)["input_ids"] for t in [*COOKING, *SAILING]], steps)
    model.save_pretrained(folder)
    return folder


def train(model: Any, rows: list[list[int]], steps: int, rate: float = 3e-3) -> None:
    """AdamW over all rows, one after the other."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    for step in range(steps):
        ids = torch.tensor([rows[step % len(rows)]])
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def mean_loss(model: Any, document: Any, spans: list[tuple[int, int, int]] | None = None) -> Any:
    """Mean loss of a document's counted tokens, by plain calls: `spans` are (start, end, first token that counts) of its windows."""
    total: Any = 0.0
    for start, end, first in spans or [(0, len(document.tokens), 1)]:
        ids = torch.from_numpy(document.tokens[start:end])[None]
        odds = torch.log_softmax(model(input_ids=ids[:, :-1]).logits[0], dim=-1)
        each = -odds[torch.arange(len(ids[0]) - 1), ids[0, 1:]]
        counted = document.counts[start + 1 : end] & (np.arange(start + 1, end) >= first)
        total = total + each[torch.from_numpy(counted)].sum()
    return total / document.told


def gradient(model: Any, layers: list[str], loss: Any) -> dict[str, np.ndarray]:
    """By autograd, of each layer: float64[outputs, inputs], the bias as one more input."""
    found = {}
    for name in layers:
        module = model.get_submodule(name)
        (weight,) = torch.autograd.grad(loss, module.weight, retain_graph=True)
        weight = weight.T if type(module).__name__ == "Conv1D" else weight
        if module.bias is not None:
            (bias,) = torch.autograd.grad(loss, module.bias, retain_graph=True)
            weight = torch.cat([weight, bias[:, None]], dim=1)
        found[name] = weight.double().numpy()
    return found
