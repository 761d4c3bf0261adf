"""Influence of documents on a reference set, by a causal language model from a folder on this machine.

The reward of a document z is `r(z) = + g_ref' (H + lambda)^-1 g_z`: g_z the gradient of its mean loss per counted token, g_ref
that of the reference set (the mean over its examples), H the curvature. It is the first-order change for the better of the
reference loss when z gains weight. `(H + lambda)^-1 g_ref`, the query, is computed once; rewards are products with it.

Source: Koh & Liang 2017; Quad (arXiv 2409.16986) eq. 2; SPECS 2.2.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .adapter import LAYERS, attach
from .blocks import blocks_of, linear_layers
from .curvature import Factors, Kind, fit, solve
from .differences import SLOPE, difference_rewards, slope
from .documents import Batch, Document, batches, windows
from .gradients import Matrices, Mean, Products
from .network import Labels, Network
from .saving import Put, load, packed, plainly, save, unpacked

if TYPE_CHECKING:
    import torch

Score = Literal["dot", "cosine_mean"]
Product = Literal["gradient", "difference"]
Example = tuple[str, int]  # a text, and the first of its characters that counts


@dataclass(frozen=True)
class InfluenceSettings:
    """What decides the rewards, besides model and texts.

    Attributes:
        adapter: a folder with a LoRA adapter of this model, whose matrices are then looked at where `layers` is None.
        layers: a pattern that is found in the names of the layers to look at; None: all linear ones but the last.
        fused: queries, keys and values of an attention as one block.
        curvature, labels, seed: see `curvature.fit`.
        damping: lambda, as a share of the mean eigenvalue of each block.
        product: gradient, a row's own and the query; or difference, of its loss a step along the query and one against it.
        score: dot, or cosine_mean: the mean of the cosines between the window's gradient and the query of each reference window.
        context, overlap: tokens of a window, and how many it shares with the one before.
        max_tokens: where a document is cut; None: nowhere.
        checkpointing: the stacked layers are run again on the way back: a third more to compute, far less to hold.
        batch_tokens, precision, device: memory (None: 512 tokens on a CPU, else 4,096), how it runs; auto: CUDA where there is one.
    """

    adapter: str | None = None
    layers: str | None = None
    fused: bool = False
    curvature: Kind = "ekfac"
    labels: Labels = "sampled"
    seed: int = 0
    damping: float = 0.1
    score: Score = "dot"
    product: Product = "gradient"
    context: int = 1024
    overlap: int = 1
    max_tokens: int | None = None
    batch_tokens: int | None = None
    checkpointing: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"


_NOT_OF_FACTORS = ("adapter", "damping", "score", "product", "batch_tokens", "checkpointing", "device")


class InfluenceModel:
    """A causal model of a Transformers folder, with the layers that are looked at; `reader` is its tokenizer.

    Raises ValueError where the folder holds no such model in safetensors, no such layers, or `difference` cannot be.
    """

    def __init__(self, path: str | Path, settings: InfluenceSettings | None = None, *, identity: str = "") -> None:
        self.settings = settings or InfluenceSettings()
        check_product(self.settings.product, self.settings.score, self.settings.precision)
        self.device = _device(self.settings.device)
        self._model, self.reader = _loaded(Path(path), self.settings.precision, self.device)
        able = getattr(self._model.config, "max_position_embeddings", None) or self.settings.context
        self.context = min(self.settings.context, able)
        self.identity = identity or _identity(Path(path))
        wanted, adapter = self.settings.layers, self.settings.adapter
        if adapter:
            attach(self._model, Path(adapter).expanduser())
            wanted = wanted or LAYERS
            self.identity += _identity(Path(adapter).expanduser(), "adapter_config.json")
        names = linear_layers(self._model, wanted)
        blocks = blocks_of(self._model, self._probe, names, fused=self.settings.fused)
        self.network = Network(self._model, self._forward, blocks, self.settings.checkpointing)

    @property
    def layers(self) -> list[str]:
        """Names of the blocks, in the model's order."""
        return [b.name for b in self.network.blocks]

    def factors(self, texts: Sequence[Example], keys: Sequence[int]) -> dict[str, Factors]:
        """The curvature on these texts; `keys` are what chance is drawn by, whatever the order."""
        s = self.settings
        return fit(self.network, self.batches(self.documents(texts, keys)), s.curvature, labels=s.labels, seed=s.seed)

    def query(self, factors: dict[str, Factors], examples: Sequence[Example]) -> dict[str, "torch.Tensor"]:
        """The inverse-curvature product of the mean gradient of the examples (cosine_mean: the mean of their directions).

        Raises ValueError where none of them has a token that counts.
        """
        documents = self.documents(examples)
        told = [d for d in documents if d.told]
        if not told:
            raise ValueError("the reference set has no example with a token to predict")
        if self.settings.score == "cosine_mean":
            return self._directions(factors, told)
        mean = Mean()
        self.network.walk(self.batches(told), mean)
        gradient = {k: v / len(told) for k, v in mean.sums.items()}
        solved = solve(factors, gradient, self.settings.damping)
        return solved | {SLOPE: slope(gradient, solved)} if self.settings.product == "difference" else solved

    def _directions(self, factors: dict[str, Factors], documents: Sequence[Document]) -> dict[str, "torch.Tensor"]:
        """The mean over windows of each window's query, of length 1. Cost: an inverse-curvature product for each."""
        import torch

        total: dict[str, Any] = {}
        found = windows(documents, self.context, self.settings.overlap)
        for window in found:
            one = Mean()
            self.network.walk(batches([window], 1, self.device, self.context), one)
            moved = solve(factors, one.sums, self.settings.damping)
            length = torch.sqrt(torch.stack([m.square().sum() for m in moved.values()]).sum())
            for name, matrix in moved.items():
                unit = matrix / length.clamp(min=torch.finfo(matrix.dtype).tiny) / len(found)
                total[name] = total[name] + unit if name in total else unit
        return total

    def rewards(self, texts: Sequence[Example], query: Matrices) -> np.ndarray:
        """float64[n], the reward of each text; 0 where no token counts. Cost: a pass forward and one back, or two forward."""
        if self.settings.product == "difference":
            return difference_rewards(self, self.documents(texts), query)
        products = Products(len(texts), query, cosine=self.settings.score == "cosine_mean")
        self.network.walk(self.batches(self.documents(texts)), products)
        return products.rewards

    def documents(self, texts: Sequence[Example], keys: Sequence[int] | None = None) -> list[Document]:
        """The texts as tokens; what begins before an example's first character that counts is read, but not predicted."""
        cut: dict[str, Any] = {"truncation": True, "max_length": self.settings.max_tokens} if self.settings.max_tokens else {}
        found = []
        for i, (text, start) in enumerate(texts):
            told = self.reader(text, return_offsets_mapping=start > 0, verbose=False, **cut)
            tokens = np.array(told["input_ids"], np.int64)
            counts = np.ones(len(tokens), bool)
            if start > 0:
                counts = np.array([a >= start for a, _ in told["offset_mapping"]], bool)
            found.append(Document(tokens, counts, 0 if keys is None else int(keys[i])))
        return found

    def arguments(self, texts: Sequence[Example], keys: Sequence[int]) -> dict[str, Any]:
        """All that decides the curvature on these texts."""
        told = {k: v for k, v in asdict(self.settings).items() if k not in _NOT_OF_FACTORS}
        if self.settings.curvature == "identity":
            return {"curvature": "identity"}
        shapes = {b.name: list(b.shape) for b in self.network.blocks}
        return told | {"context": self.context, "model": self.identity, "blocks": shapes,
                       "texts": _digest([*map(list, texts)], [int(k) for k in keys])}

    def fitted(self, folder: Path, texts: Sequence[Example], keys: Sequence[int], put: Put = plainly) -> dict[str, Factors]:
        """`factors`, from the folder, or computed and kept there. Raises ValueError where the folder's have other arguments."""
        inputs, told = {b.name: b.inputs for b in self.network.blocks}, self.arguments(texts, keys)
        known = load(folder, "factors", told)
        if known is not None:
            return unpacked({k: v.to(self.device) for k, v in known.items()}, inputs)
        found = self.factors(texts, keys)
        save(folder, "factors", packed(found, inputs), told, put)
        return found

    def batches(self, documents: Sequence[Document]) -> Iterator[Batch]:
        """The documents in windows, side by side. Raises ValueError where the tokenizer is of another model."""
        rows = int(self._model.get_input_embeddings().weight.shape[0])
        most = max((int(d.tokens.max()) for d in documents if len(d.tokens)), default=-1)
        if most >= rows:
            raise ValueError(f"the tokenizer gives token {most}, the model knows {rows:,}: the two are not of one model")
        found = windows(documents, self.context, self.settings.overlap)
        most = self.settings.batch_tokens or (512 if self.device == "cpu" else 4096)  # on a CPU more is no faster, only larger
        return batches(found, most, self.device, self.context)

    def counted(self, batch: Batch) -> "torch.Tensor":
        """float[m, classes], in float32 at least: the logits where the loss counts, row by row; the head reads no other place."""
        import torch

        head = self._model.get_output_embeddings()
        hook = head.register_forward_pre_hook(lambda _, given: (given[0][batch.counts][None], *given[1:]))
        try:
            with torch.no_grad():
                logits = self._forward(batch.inputs)[0]
        finally:
            hook.remove()
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _forward(self, ids: "torch.Tensor") -> "torch.Tensor":
        return self._model(input_ids=ids, use_cache=False).logits  # type: ignore[no-any-return]

    def _probe(self) -> Any:
        import torch

        return self._forward(torch.zeros((1, 2), dtype=torch.int64, device=self.device))


def check_product(product: str, score: str, precision: str) -> None:
    """Raises ValueError where rewards by difference are not told."""
    if product == "difference" and score != "dot":
        raise ValueError("product: difference knows no length of a gradient, so no cosine: use score: dot, or product: gradient")
    if product == "difference" and precision != "float32":
        raise ValueError("product: difference needs precision: float32: in bfloat16 a small step moves no weight")


def _device(asked: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def _loaded(path: Path, precision: str, device: str) -> tuple[Any, Any]:
    """The model, in evaluation, and its tokenizer. Raises ValueError."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    kind: dict[str, Any] = {"dtype": getattr(torch, precision), "use_safetensors": True, "output_loading_info": True}
    try:
        words = AutoTokenizer.from_pretrained(str(path), **local)
        model, told = AutoModelForCausalLM.from_pretrained(str(path), **kind, **local)
        model = model.eval().to(device)
    except (OSError, KeyError, RuntimeError, ValueError, AssertionError, SafetensorError) as e:  # AssertionError: no such device
        raise ValueError(f"{path} holds no causal model that can be loaded: {str(e).splitlines()[0]}") from e
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"{path} holds no whole causal model: {len(missing)} of its weights are not there ({missing[0]}) and "
                         "would be drawn at random")
    if not words.is_fast:
        raise ValueError(f"{path} has no fast tokenizer (tokenizer.json), which alone tells where a token begins")
    return model, words


def _identity(path: Path, config: str = "config.json") -> str:
    """sha256 of the folder's configuration and weights."""
    h = hashlib.sha256()
    for file in sorted([path / config, *path.glob("*.safetensors")]):
        with file.open("rb") as f:
            while block := f.read(1 << 20):
                h.update(block)
    return h.hexdigest()


def _digest(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()
