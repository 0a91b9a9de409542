"""A network with VGG-16's layers, names and topology and few channels, as Caffe's two files.

The wire format is written by hand (https://protobuf.dev/programming-guides/encoding/); the numbers of fields and
types are those of caffe.proto's V1 layers.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

NAME = "VGG_ILSVRC_16_layers"
CONVOLUTION, DROPOUT, INNER_PRODUCT, POOLING, RELU, SOFTMAX = 4, 6, 14, 17, 18, 20
TYPE_NAMES = {
    CONVOLUTION: "CONVOLUTION",
    DROPOUT: "DROPOUT",
    INNER_PRODUCT: "INNER_PRODUCT",
    POOLING: "POOLING",
    RELU: "RELU",
    SOFTMAX: "SOFTMAX",
}
CHANNELS = 4  # VGG-16 has 64 to 512; conv1_1 keeps its 64, because documents quote that line of the output


@dataclass(frozen=True)
class Layer:
    name: str
    kind: int
    bottom: str
    top: str
    outputs: int = 0
    inputs: int = 0


Shape = tuple[int, int, int, int]


def standin_weights(shape: Shape) -> bytes:
    """Small numbers that repeat, as little-endian floats."""
    size = shape[0] * shape[1] * shape[2] * shape[3]
    data = array.array("f", (((index * 37) % 101 - 50) / 1000 for index in range(size)))
    if sys.byteorder == "big":
        data.byteswap()
    return data.tobytes()


@dataclass(frozen=True)
class Network:
    """Channels of each block, outputs of fc6 to fc8, and the function that makes weights of a shape."""

    blocks: Mapping[int, int]
    dense: tuple[int, int, int]
    weights: Callable[[Shape], bytes] = standin_weights


# neuraltalk2 adds a layer with 4096 inputs after fc7.
TINY = Network(dict.fromkeys(range(1, 6), CHANNELS), (8, 4096, 2))


def layers(network: Network = TINY) -> Iterator[Layer]:
    """The network from conv1_1 to prob."""
    bottom, inputs = "data", 3
    for block, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for index in range(1, depth + 1):
            name = f"conv{block}_{index}"
            outputs = 64 if name == "conv1_1" else network.blocks[block]
            yield Layer(name, CONVOLUTION, bottom, name, outputs, inputs)
            yield Layer(f"relu{block}_{index}", RELU, name, name)
            bottom, inputs = name, outputs
        yield Layer(f"pool{block}", POOLING, bottom, f"pool{block}")
        bottom = f"pool{block}"
    inputs *= 49  # 224 pixels are 7 by 7 after five poolings
    for number, outputs in enumerate(network.dense, start=6):
        name = f"fc{number}"
        yield Layer(name, INNER_PRODUCT, bottom, name, outputs, inputs)
        if number < 8:
            yield Layer(f"relu{number}", RELU, name, name)
            yield Layer(f"drop{number}", DROPOUT, name, name)
        bottom, inputs = name, outputs
    yield Layer("prob", SOFTMAX, bottom, "prob")


def prototxt(network: Network = TINY) -> str:
    """The description of the network, in protobuf's text format."""
    lines = [f'name: "{NAME}"', 'input: "data"', *(f"input_dim: {size}" for size in (10, 3, 224, 224))]
    for layer in layers(network):
        lines.append(f'layers {{\n  bottom: "{layer.bottom}"\n  top: "{layer.top}"\n  name: "{layer.name}"')
        lines.append(f"  type: {TYPE_NAMES[layer.kind]}")
        if layer.kind == CONVOLUTION:
            lines.append(f"  convolution_param {{ num_output: {layer.outputs} pad: 1 kernel_size: 3 }}")
        elif layer.kind == INNER_PRODUCT:
            lines.append(f"  inner_product_param {{ num_output: {layer.outputs} }}")
        elif layer.kind == POOLING:
            lines.append("  pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
        elif layer.kind == DROPOUT:
            lines.append("  dropout_param { dropout_ratio: 0.5 }")
        lines.append("}")
    return "\n".join(lines) + "\n"


def model(network: Network = TINY) -> bytes:
    """The same network with its weights, in protobuf's binary format."""
    head = _text(1, NAME) + _text(3, "data") + b"".join(_number(4, size) for size in (10, 3, 224, 224))
    return head + b"".join(_bytes(2, _layer(layer, network.weights)) for layer in layers(network))


def _layer(layer: Layer, weights: Callable[[Shape], bytes]) -> bytes:
    out = _text(2, layer.bottom) + _text(3, layer.top) + _text(4, layer.name) + _number(5, layer.kind)
    if layer.kind == CONVOLUTION:
        out += _blob((layer.outputs, layer.inputs, 3, 3), weights) + _blob((1, 1, 1, layer.outputs), weights)
        out += _bytes(10, _number(1, layer.outputs) + _number(3, 1) + _number(4, 3))
    elif layer.kind == INNER_PRODUCT:
        out += _blob((1, 1, layer.outputs, layer.inputs), weights) + _blob((1, 1, 1, layer.outputs), weights)
        out += _bytes(17, _number(1, layer.outputs))
    elif layer.kind == POOLING:
        out += _bytes(19, _number(1, 0) + _number(2, 2) + _number(3, 2))
    return out


def _blob(shape: Shape, weights: Callable[[Shape], bytes]) -> bytes:
    head = b"".join(_number(field, length) for field, length in enumerate(shape, start=1))
    return _bytes(6, head + _bytes(5, weights(shape)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
