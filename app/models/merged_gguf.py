"""A chat model with its adapter merged, as one GGUF file: what OpenVINO and llama.cpp read.

Tensors under llama.cpp's names, matrices in F16 and norms in F32; rows of q and k go from halves to
pairs, since llama.cpp rotates neighbours where transformers rotates halves. Metadata is made from
config and tokenizer, so that any base will do, packaged or not. The same weights give the same
bytes. `differs` reads a file back and says what in it is not the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from app.core.errors import InputError
from app.core.files import atomic_path

VERSION = "1"
"""Of what is written: a file by an older one is made anew."""
F16, F32 = "F16", "F32"
_MODEL_TYPES = ("llama",)
_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# How text is cut before it is merged into tokens, by llama.cpp's names.
_CUTS = {("Digits", "ByteLevel"): "smollm", ("ByteLevel",): "gpt-2"}
_NORMAL, _CONTROL = 1, 3


class _Named(NamedTuple):
    name: str
    """llama.cpp's."""
    values: np.ndarray[Any, Any]
    """As they lie in the file: float16, or float32 for norms."""


def supported(model: Any, tokenizer: Any) -> None:
    """Raise InputError, saying why, for a model that this does not write."""
    config = model.config
    if config.model_type not in _MODEL_TYPES:
        raise InputError(
            f"GGUF of a {config.model_type}: expected one of {', '.join(_MODEL_TYPES)}; serve "
            "this one with transformers"
        )
    rope = config.rope_parameters or {}
    if rope.get("rope_type", "default") != "default":
        raise InputError(f"GGUF: expected plain rotary positions, found {rope['rope_type']}")
    extra = [name for name, _ in model.named_parameters() if name.endswith(".bias")]
    if extra:
        raise InputError(f"GGUF: expected layers without bias, found {extra[0]}")
    _cut(tokenizer)


def write(model: Any, tokenizer: Any, file: Path, name: str) -> None:
    """Write `model` (weights merged, no adapter around it) to `file`, atomically.

    Raises InputError for an architecture or a tokenizer that this does not write.
    """
    from gguf import GGUFWriter

    supported(model, tokenizer)
    with atomic_path(file) as temporary:
        writer = GGUFWriter(temporary, model.config.model_type)
        _add_config(writer, model.config, name)
        _add_tokenizer(writer, tokenizer)
        for tensor in _tensors(model):
            writer.add_tensor(tensor.name, tensor.values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def differs(file: Path, model: Any, tokenizer: Any) -> str | None:
    """What `file` holds that `model` and its tokenizer do not, in a sentence; None where equal.

    Compares names, dtypes and every value, bit for bit, the chat template, and the tokens.
    """
    from gguf import GGUFReader

    reader = GGUFReader(file)
    found = {tensor.name: tensor for tensor in reader.tensors}
    for expected in _tensors(model):
        tensor = found.pop(expected.name, None)
        if tensor is None:
            return f"it lacks {expected.name}"
        wanted = F16 if expected.values.dtype == np.float16 else F32
        if tensor.tensor_type.name != wanted:
            return f"{expected.name} is {tensor.tensor_type.name}, expected {wanted}"
        if not np.array_equal(tensor.data.reshape(expected.values.shape), expected.values):
            return f"{expected.name} has other values than the merged weights"
    if found:
        return f"it has {min(found)}, which the model lacks"
    return _other_text(reader, tokenizer)


def _other_text(reader: Any, tokenizer: Any) -> str | None:
    def field(key: str) -> Any:
        found = reader.get_field(key)
        return None if found is None else found.contents()

    if field("tokenizer.chat_template") != tokenizer.chat_template:
        return "its chat template is another than the tokenizer's"
    if field("tokenizer.ggml.tokens") != _tokens(tokenizer):
        return "its tokens are others than the tokenizer's"
    return None


def _tensors(model: Any) -> Iterator[_Named]:
    """What the file holds, in the order of the model."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    tied = config.tie_word_embeddings
    for name, parameter in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        values = parameter.detach().float().cpu()
        last = name.removesuffix(".weight").rpartition(".")[2]
        if last in heads:
            values = _in_pairs(values, heads[last])
        array = values.numpy()
        yield _Named(_renamed(name), array if array.ndim == 1 else _half(array, name))


def _half(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise InputError(f"GGUF: {name} has values beyond F16: serve this model with transformers")
    return half


def _in_pairs(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows (heads, half, pair place) -> (heads, pair place, half)."""
    rows, width = values.shape
    return values.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)


def _renamed(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    number, _, rest = name.removeprefix("model.layers.").partition(".")
    return f"blk.{number}.{_LAYER[rest.removesuffix('.weight')]}.weight"


def _add_config(writer: Any, config: Any, name: str) -> None:
    from gguf import LlamaFileType

    writer.add_name(name)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    writer.add_quantization_version(2)


def _add_tokenizer(writer: Any, tokenizer: Any) -> None:
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    control = {added["content"] for added in tree["added_tokens"] if added["special"]}
    tokens = _tokens(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_cut(tokenizer))
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(False)
    writer.add_token_list(tokens)
    writer.add_token_types([_CONTROL if token in control else _NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tree["model"]["merges"]])
    for kind, number in (
        ("bos", tokenizer.bos_token_id), ("eos", tokenizer.eos_token_id),
        ("unk", tokenizer.unk_token_id), ("pad", tokenizer.pad_token_id),
    ):  # fmt: skip
        if number is not None:
            getattr(writer, f"add_{kind}_token_id")(number)
    writer.add_chat_template(tokenizer.chat_template)


def _tokens(tokenizer: Any) -> list[str]:
    """Every token, by its id."""
    return [str(token) for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]


def _cut(tokenizer: Any) -> str:
    """llama.cpp's name of the tokenizer's way to cut text. Raises InputError for an unknown one."""
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    pre = tree["pre_tokenizer"] or {"type": "none"}
    steps = tuple(step["type"] for step in pre.get("pretokenizers", [pre]))
    if tree["model"]["type"] != "BPE" or steps not in _CUTS:
        known = "; ".join(" then ".join(cut) for cut in _CUTS)
        raise InputError(
            f"GGUF: expected a byte-level BPE tokenizer that cuts by {known}, found "
            f"{tree['model']['type']} by {' then '.join(steps)}"
        )
    return _CUTS[steps]
