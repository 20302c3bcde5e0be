"""Makes the tiny ONNX files beside it: pip install onnx numpy; python make.py

linear.onnx      [N,3] float      -> [N,1] float    1*a + 2*b + 3*c + 0.5
double.onnx      [N,2] double     -> [N] double     a - b
separate.onnx    AGE [N,1] float, COUNT [N] int64, VIP [N,1] bool, CITY [N,1] string -> score [N,1] float, city [N,1] string
labels.onnx      [N,1] int64      -> [N] string     0 'low', 1 'high', others 'unknown'
whole.onnx       [N,2] int64      -> [N] int64      a * b
wide.onnx        [N,?] float      -> [N,2] float    sum and maximum of a row
several.onnx     [N,2] float      -> total [N] float, positive [N] bool, place [N] int32
zipmap.onnx      [N,2] float      -> one map a row {'no': a, 'yes': b}
fixed.onnx       [4,2] float      -> [4] float      a + b, four rows a run
picky.onnx       [N,1] int64      -> [N] float      an element of a table of three; other indices fail
nobatch.onnx     [N,2] float      -> [1] float      the sum of everything
cube.onnx        [N,2,2] float    -> [N,2,2] float
named.onnx       [N,2] float      -> [N] float      a + b, with the metadata martlet.inputs and author
broken.onnx      not a model
autoencoder.onnx [N,30] float     -> [N] float      mean squared error of a 30-14-7-7-30 autoencoder with seeded weights
"""
import os

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h

here = os.path.dirname(os.path.abspath(__file__))
tensor = h.make_tensor_value_info


def constant(name, values, dtype):
    return onnx.numpy_helper.from_array(np.array(values, dtype=dtype), name)


def save(name, nodes, inputs, outputs, constants=(), metadata=None, opsets=(("", 17),)):
    graph = h.make_graph(nodes, name, inputs, outputs, list(constants))
    model = h.make_model(graph, opset_imports=[h.make_opsetid(d, v) for d, v in opsets], producer_name="martlet-fixtures")
    model.ir_version = 8
    if metadata:
        h.set_model_props(model, metadata)
    onnx.save(model, os.path.join(here, name + ".onnx"))


save("linear", [h.make_node("Gemm", ["x", "w", "b"], ["y"])], [tensor("x", T.FLOAT, ["N", 3])], [tensor("y", T.FLOAT, ["N", 1])],
     [constant("w", [[1], [2], [3]], np.float32), constant("b", [0.5], np.float32)])

split = constant("ones", [1, 1], np.int64)
axis = constant("axis", [1], np.int64)


def columns(kind):
    return [h.make_node("Split", ["x", "ones"], ["a1", "b1"], axis=1), h.make_node("Squeeze", ["a1", "axis"], ["a"]),
            h.make_node("Squeeze", ["b1", "axis"], ["b"])]


save("double", columns(T.DOUBLE) + [h.make_node("Sub", ["a", "b"], ["y"])], [tensor("x", T.DOUBLE, ["N", 2])], [tensor("y", T.DOUBLE, ["N"])],
     [split, axis])
save("whole", columns(T.INT64) + [h.make_node("Mul", ["a", "b"], ["y"])], [tensor("x", T.INT64, ["N", 2])], [tensor("y", T.INT64, ["N"])],
     [split, axis])
save("separate",
     [h.make_node("Cast", ["COUNT"], ["c"], to=T.FLOAT), h.make_node("Unsqueeze", ["c", "axis"], ["c1"]),
      h.make_node("Cast", ["VIP"], ["v"], to=T.FLOAT), h.make_node("Mul", ["v", "bonus"], ["v1"]),
      h.make_node("Add", ["AGE", "c1"], ["s"]), h.make_node("Add", ["s", "v1"], ["score"]), h.make_node("Identity", ["CITY"], ["city"])],
     [tensor("AGE", T.FLOAT, ["N", 1]), tensor("COUNT", T.INT64, ["N"]), tensor("VIP", T.BOOL, ["N", 1]), tensor("CITY", T.STRING, ["N", 1])],
     [tensor("score", T.FLOAT, ["N", 1]), tensor("city", T.STRING, ["N", 1])], [axis, constant("bonus", [100], np.float32)])
save("labels",
     [h.make_node("LabelEncoder", ["x"], ["l"], domain="ai.onnx.ml", keys_int64s=[0, 1], values_strings=["low", "high"], default_string="unknown"),
      h.make_node("Squeeze", ["l", "axis"], ["label"])],
     [tensor("x", T.INT64, ["N", 1])], [tensor("label", T.STRING, ["N"])], [axis], opsets=(("", 17), ("ai.onnx.ml", 2)))
save("wide",
     [h.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=1), h.make_node("ReduceMax", ["x"], ["max"], axes=[1], keepdims=1),
      h.make_node("Concat", ["sum", "max"], ["y"], axis=1)],
     [tensor("x", T.FLOAT, ["N", "k"])], [tensor("y", T.FLOAT, ["N", 2])], [axis])
save("several",
     [h.make_node("ReduceSum", ["x", "axis"], ["total"], keepdims=0), h.make_node("Greater", ["total", "zero"], ["positive"]),
      h.make_node("ArgMax", ["x"], ["p"], axis=1, keepdims=0), h.make_node("Cast", ["p"], ["place"], to=T.INT32)],
     [tensor("x", T.FLOAT, ["N", 2])], [tensor("total", T.FLOAT, ["N"]), tensor("positive", T.BOOL, ["N"]), tensor("place", T.INT32, ["N"])],
     [axis, constant("zero", 0, np.float32)])
maps = h.make_value_info("probabilities", h.make_sequence_type_proto(
    h.make_map_type_proto(T.STRING, h.make_tensor_type_proto(T.FLOAT, []))))
save("zipmap", [h.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"])],
     [tensor("x", T.FLOAT, ["N", 2])], [maps], opsets=(("", 17), ("ai.onnx.ml", 2)))
save("fixed", [h.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0)], [tensor("x", T.FLOAT, [4, 2])], [tensor("y", T.FLOAT, [4])], [axis])
save("picky", [h.make_node("Squeeze", ["x", "axis"], ["i"]), h.make_node("Gather", ["table", "i"], ["y"])],
     [tensor("x", T.INT64, ["N", 1])], [tensor("y", T.FLOAT, ["N"])], [axis, constant("table", [10, 20, 30], np.float32)])
save("nobatch", [h.make_node("ReduceSum", ["x"], ["s"], keepdims=0), h.make_node("Reshape", ["s", "one"], ["y"])],
     [tensor("x", T.FLOAT, ["N", 2])], [tensor("y", T.FLOAT, [1])], [constant("one", [1], np.int64)])
save("cube", [h.make_node("Identity", ["x"], ["y"])], [tensor("x", T.FLOAT, ["N", 2, 2])], [tensor("y", T.FLOAT, ["N", 2, 2])])
save("named", [h.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0)], [tensor("x", T.FLOAT, ["N", 2])], [tensor("y", T.FLOAT, ["N"])], [axis],
     metadata={"martlet.inputs": "left, right", "author": "fixtures"})
with open(os.path.join(here, "broken.onnx"), "wb") as file:
    file.write(b"\x08\x08this is not a graph" * 4)

random = np.random.default_rng(314)
sizes = [30, 14, 7, 7, 30]
nodes, weights, value = [], [], "x"
for i, (n, m) in enumerate(zip(sizes, sizes[1:])):
    weights += [constant(f"w{i}", random.normal(0, n ** -0.5, (n, m)), np.float32), constant(f"b{i}", random.normal(0, 0.1, m), np.float32)]
    nodes += [h.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"g{i}"]), h.make_node("Relu" if i % 2 else "Tanh", [f"g{i}"], [f"h{i}"])]
    value = f"h{i}"
nodes += [h.make_node("Sub", ["x", value], ["d"]), h.make_node("Mul", ["d", "d"], ["q"]), h.make_node("ReduceMean", ["q"], ["mse"], axes=[1], keepdims=0)]
save("autoencoder", nodes, [tensor("x", T.FLOAT, ["N", 30])], [tensor("mse", T.FLOAT, ["N"])], weights)
