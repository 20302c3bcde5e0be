#!/usr/bin/env python3
"""Trains the fraud autoencoder and writes it as one ONNX file that SQL can call.

    Scripts/train_autoencoder.py --csv creditcard.csv --out models/fraud_autoencoder.onnx
    Scripts/train_autoencoder.py --stream creditcardfraud_preprocessed_avro --out fraud.onnx
    Scripts/train_autoencoder.py --generate 150000 --out models/fraud_autoencoder.onnx

The model is the article's Keras autoencoder, 30 - 14 tanh - 7 relu - 7 tanh - 30, trained on normal payments only; a payment that it
reconstructs badly is suspicious. The file holds the whole computation, so that SQL passes raw columns and gets the score:

    features double[N, 30]   Time, V1 ... V28, Amount, as they are in the stream
      -> (features - mean) / scale, in double; then float
      -> four dense layers
      -> mean of the squared differences
    score float[N]

Its metadata tell the threshold, the feature names, and what it was trained on. The threshold is the score with the best F1 on the training
payments, frauds included: the network has seen none of those, and there are four times as many as among the test payments, for which
precision and recall are then told.
Keras runs on JAX (KERAS_BACKEND=jax) unless that variable says otherwise; TensorFlow gives the same network.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

SEED = 314
TEST_FRACTION = 0.2
FEATURES = ["Time", *(f"V{index}" for index in range(1, 29)), "Amount"]
LAYERS = ((14, "tanh"), (7, "relu"), (7, "tanh"))


# ---- payments: an array [N, 30] in the order of FEATURES, and labels [N] of 0 and 1


def payments_from_csv(paths):
    """Reads Kaggle's 31 columns (with a header) or the source topic's 34 (without), plain or .gz; rows without a Class are left out."""
    features, labels = [], []
    for path in paths:
        opener = gzip.open if str(path).endswith(".gz") else open
        with opener(path, "rt", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (number == 1 and row[-1].strip('"').lower() == "class"):
                    continue
                if len(row) not in (31, 34):
                    raise SystemExit(f"{path}:{number}: {len(row)} columns; payments have 31, or 34 with Id, Timestamp, User")
                if row[-1] == "":
                    continue
                features.append([float(value) for value in row[-31:-1]])
                labels.append(int(float(row[-1])))
    return np.array(features, dtype=np.float64).reshape(-1, 30), np.array(labels, dtype=np.int64)


def payments_from_frame(frame):
    """Takes a DataFrame with the columns of FEATURES and Class, in any letter case; rows with a NULL are left out."""
    frame = frame.rename(columns=str.upper)
    frame = frame[[name.upper() for name in FEATURES] + ["CLASS"]].dropna()
    features = frame.drop(columns="CLASS").to_numpy(dtype=np.float64)
    return features, frame["CLASS"].astype("string").str.strip('"').astype(float).astype(int).to_numpy()


def payments_from_stream(stream, server):
    """Reads a stream of Martlet from its beginning to its present end."""
    import martlet

    columns = ", ".join([*FEATURES, "Class"])
    frame = martlet.connect(server).df(f"SELECT {columns} FROM {stream}")
    # Partitions are read in no particular order; sorted, the same payments make the same model.
    return payments_from_frame(frame.sort_values(list(frame.columns), ignore_index=True))


# Standard deviations of V1 ... V28 over the 284,807 payments of the ULB / Worldline data set, and mean and deviation among its 492 frauds.
V_DEVIATIONS = (
    1.959, 1.651, 1.516, 1.416, 1.380, 1.332, 1.237, 1.194, 1.099, 1.089, 1.021, 0.999, 0.995, 0.959,
    0.915, 0.876, 0.849, 0.838, 0.814, 0.771, 0.735, 0.726, 0.624, 0.606, 0.521, 0.482, 0.404, 0.330,
)  # fmt: skip
FRAUD_MEANS = (
    -4.772, 3.624, -7.033, 4.542, -3.151, -1.398, -5.569, 0.571, -2.581, -5.677, 3.800, -6.259, -0.109, -6.972,
    -0.093, -4.140, -6.666, -2.246, 0.681, 0.372, 0.714, 0.014, -0.040, -0.105, 0.041, 0.052, 0.171, 0.076,
)  # fmt: skip
FRAUD_DEVIATIONS = (
    6.784, 4.291, 7.111, 2.873, 5.372, 1.858, 7.207, 6.798, 2.501, 4.897, 2.679, 4.654, 1.105, 4.279,
    1.050, 3.865, 6.971, 2.899, 1.540, 1.347, 3.869, 1.495, 1.580, 0.516, 0.797, 0.472, 1.377, 0.547,
)  # fmt: skip


def generated_payments(count, fraud_rate=0.00172, seed=SEED):
    """Makes payments after the real data's published statistics: 28 uncorrelated components, shifted for frauds; skewed amounts; times over
    two days with quiet nights."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < fraud_rate).astype(np.int64)
    fraud = labels[:, None] == 1
    normal = rng.standard_normal((count, 28))
    components = np.where(fraud, normal * FRAUD_DEVIATIONS + FRAUD_MEANS, normal * V_DEVIATIONS)
    day = rng.integers(0, 2, count) * 86400
    hour = np.where(rng.random(count) < 0.12, rng.uniform(0, 7, count), rng.uniform(7, 24, count))
    amount = np.exp(rng.normal(3.15, 1.66, count)).clip(0, 25691.16)
    features = np.column_stack([np.floor(day + hour * 3600), components, np.round(amount, 2)])
    return features[np.argsort(features[:, 0], kind="stable")], labels[np.argsort(features[:, 0], kind="stable")]


# ---- training


def split(features, labels):
    """The article's split: 80 % for training, 20 % for the test, random_state 314."""
    from sklearn.model_selection import train_test_split

    return train_test_split(features, labels, test_size=TEST_FRACTION, random_state=SEED)


def build_autoencoder(output="linear"):
    """The article's network. ``output``: activation of the last layer; the article has "relu", "linear" separates a little better because
    half of the scaled values are negative."""
    import keras

    keras.utils.set_random_seed(SEED)
    network = keras.Sequential([keras.Input(shape=(30,), name="CreditCardInput")], name="FraudDetectionAutoencoder")
    names = ("Encoder1", "Encoder2", "Decoder1")
    for (units, activation), name in zip(LAYERS, names):
        regularizer = keras.regularizers.L1(1e-7) if name == "Encoder1" else None
        network.add(keras.layers.Dense(units, activation=activation, activity_regularizer=regularizer, name=name))
    network.add(keras.layers.Dense(30, activation=output, name="Decoder2"))
    network.compile(optimizer="adam", loss="mean_squared_error")
    return network


class Scaler:
    """scikit-learn's StandardScaler for Time and Amount; V1 ... V28 are principal components and stay as they are, as in the article."""

    def __init__(self, features):
        from sklearn.preprocessing import StandardScaler

        fitted = StandardScaler().fit(features[:, [0, 29]])
        self.mean = np.zeros(30)
        self.scale = np.ones(30)
        self.mean[[0, 29]] = fitted.mean_
        self.scale[[0, 29]] = fitted.scale_

    def transform(self, features):
        return ((features - self.mean) / self.scale).astype(np.float32)


class Autoencoder:
    """A scaler and a network: ``scores(features)`` is the mean squared error of each row's reconstruction."""

    def __init__(self, scaler, network, history):
        self.scaler = scaler
        self.network = network
        self.history = history

    def scores(self, features):
        scaled = self.scaler.transform(features)
        return np.mean(np.square(scaled - self.network.predict(scaled, batch_size=8192, verbose=0)), axis=1)


def train(train_x, train_y, test_x=None, epochs=5, batch_size=32, output="linear", verbose=0):
    """Fits the scaler on all training rows and the network on the normal ones; ``test_x`` gives the validation loss of each epoch."""
    scaler = Scaler(train_x)
    network = build_autoencoder(output)
    normal = scaler.transform(train_x[train_y == 0])
    validation = None
    if test_x is not None:
        scaled = scaler.transform(test_x)
        validation = (scaled, scaled)
    history = network.fit(normal, normal, epochs=epochs, batch_size=batch_size, shuffle=True, validation_data=validation, verbose=verbose)
    return Autoencoder(scaler, network, history.history)


def best_threshold(scores, labels):
    """Returns the score that, taken as the border, has the best F1 among ``labels``; the 99.8 % quantile when there are no frauds."""
    if labels.sum() == 0:
        return float(np.quantile(scores, 0.998))
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + labels.sum())
    best = int(np.argmax(f1))
    following = scores[order[best + 1]] if best + 1 < len(scores) else 0.0
    return float((scores[order[best]] + following) / 2)


def quality(scores, labels, threshold):
    """Returns ROC AUC, average precision, and precision and recall at the threshold."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    alerts = scores > threshold
    hits = int((alerts & (labels == 1)).sum())
    return {
        "roc_auc": float(roc_auc_score(labels, scores)),
        "average_precision": float(average_precision_score(labels, scores)),
        "precision": hits / max(int(alerts.sum()), 1),
        "recall": hits / max(int(labels.sum()), 1),
    }


# ---- ONNX


def export_onnx(autoencoder, path, threshold, trained_on=""):
    """Writes scaler, network and squared error as one ONNX graph (opset 17): `features` double[N, 30] to `score` float[N].

    The scaling is done in double, as scikit-learn does it, so that large values of Time and Amount lose nothing before it.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    scaler, network = autoencoder.scaler, autoencoder.network
    constants = [
        numpy_helper.from_array(scaler.mean, "mean"),
        numpy_helper.from_array(scaler.scale, "scale"),
    ]
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centered"]),
        helper.make_node("Div", ["centered", "scale"], ["scaled_double"]),
        helper.make_node("Cast", ["scaled_double"], ["scaled"], to=TensorProto.FLOAT),
    ]
    operators = {"tanh": "Tanh", "relu": "Relu"}
    value = "scaled"
    for layer in network.layers:
        kernel, bias = (np.asarray(weights, dtype=np.float32) for weights in layer.get_weights())
        constants += [numpy_helper.from_array(kernel, f"{layer.name}_kernel"), numpy_helper.from_array(bias, f"{layer.name}_bias")]
        nodes.append(helper.make_node("Gemm", [value, f"{layer.name}_kernel", f"{layer.name}_bias"], [f"{layer.name}_sum"]))
        value = f"{layer.name}_sum"
        activation = layer.activation.__name__
        if activation != "linear":
            nodes.append(helper.make_node(operators[activation], [value], [layer.name]))
            value = layer.name
    nodes += [
        helper.make_node("Sub", ["scaled", value], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["squared"]),
        helper.make_node("ReduceMean", ["squared"], ["score"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "fraud_autoencoder",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["N", 30])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
        constants,
        doc_string="Mean squared error of an autoencoder's reconstruction of a payment; high means suspicious.",
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="martlet train_autoencoder")
    model.ir_version = 8
    properties = {"features": ",".join(FEATURES), "score": "mean squared error", "threshold": repr(round(threshold, 6))}
    helper.set_model_props(model, {**properties, "trained_on": trained_on})
    onnx.checker.check_model(model, full_check=True)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))


def onnx_scores(path, features):
    """Scores raw payments with ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["score"], {"features": np.ascontiguousarray(features, dtype=np.float64)})[0]


def disagreement(a, b):
    """Returns the largest |a - b| / max(1, |b|)."""
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)), initial=0.0))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--csv", nargs="+", type=pathlib.Path, metavar="FILE", help="payments of 31 or 34 columns, plain or .gz")
    source.add_argument("--stream", metavar="NAME", help="a stream or table of a running Martlet")
    source.add_argument("--generate", type=int, metavar="N", help="N payments made after the real data's statistics")
    parser.add_argument("--server", default=os.environ.get("MARTLET_SERVER", "http://127.0.0.1:8088"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/fraud_autoencoder.onnx"))
    parser.add_argument("--about", help="where the payments come from, for the model's metadata")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--output", choices=("linear", "relu"), default="linear", help="activation of the last layer (article: relu)")
    options = parser.parse_args(arguments)

    if options.csv:
        features, labels = payments_from_csv(options.csv)
        trained_on = "csv " + ", ".join(path.name for path in options.csv)
    elif options.stream:
        features, labels = payments_from_stream(options.stream, options.server)
        trained_on = f"stream {options.stream}"
    else:
        features, labels = generated_payments(options.generate)
        trained_on = f"generated payments, seed {SEED}"
    trained_on = f"{options.about or trained_on}; {len(labels)} payments, {int(labels.sum())} frauds"
    if len(labels) < 100:
        raise SystemExit(f"too few payments to train on: {len(labels)}")
    print(f"training on {trained_on}", flush=True)

    train_x, test_x, train_y, test_y = split(features, labels)
    autoencoder = train(train_x, train_y, test_x, options.epochs, options.batch, options.output, verbose=2 if sys.stdout.isatty() else 0)
    threshold = best_threshold(autoencoder.scores(train_x), train_y)
    export_onnx(autoencoder, options.out, threshold, trained_on)

    expected = autoencoder.scores(test_x)
    found = onnx_scores(options.out, test_x)
    apart = disagreement(found, expected)
    if apart > 1e-5:
        raise SystemExit(f"ONNX Runtime and Keras disagree by {apart:.2e}")
    report = {"threshold": round(threshold, 6), "onnx_keras_difference": apart}
    if 0 < test_y.sum() < len(test_y):
        report.update(quality(found, test_y, threshold))
    report["bytes"] = options.out.stat().st_size
    report = {key: round(value, 6 if key == "threshold" else 8) if isinstance(value, float) else value for key, value in report.items()}
    print(json.dumps(report))
    test = {key: round(report[key], 4) for key in ("roc_auc", "average_precision", "precision", "recall") if key in report}
    about = {
        "threshold": report["threshold"],
        "trained_on": trained_on,
        "test_payments": len(test_y),
        "test_frauds": int(test_y.sum()),
        **test,
    }
    options.out.with_suffix(".json").write_text(json.dumps({**about, "features": FEATURES}, indent=2) + "\n")
    print(f"wrote {options.out} and {options.out.with_suffix('.json').name}")


if __name__ == "__main__":
    main()
