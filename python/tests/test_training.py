"""The training script: payments from files, the network, one ONNX file that agrees with Keras."""

import os
import pathlib
import sys

import pytest

from conftest import ROOT, import_or_skip

sys.path.insert(0, str(ROOT / "Scripts"))

os.environ.setdefault("KERAS_BACKEND", "jax")

for module in ("keras", os.environ["KERAS_BACKEND"], "onnx", "onnxruntime", "sklearn", "pandas"):
    import_or_skip(module, "training")

np = pytest.importorskip("numpy")
training = pytest.importorskip("train_autoencoder")
SHARED = pathlib.Path(os.environ.get("MARTLET_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="module")
def trained():
    features, labels = training.generated_payments(20000, fraud_rate=0.01, seed=7)
    train_x, test_x, train_y, test_y = training.split(features, labels)
    return training.train(train_x, train_y, epochs=2, batch_size=128), train_x, test_x, train_y, test_y


@pytest.mark.parametrize("output", ["linear", "relu"])
def test_onnx_agrees_with_keras_on_ordinary_and_extreme_payments(trained, tmp_path, output):
    autoencoder, train_x, test_x, train_y, _ = trained
    if output == "relu":
        autoencoder = training.train(train_x, train_y, epochs=1, batch_size=512, output=output)
    path = tmp_path / "model.onnx"
    training.export_onnx(autoencoder, path, 1.5, "a test")
    extreme = test_x[:4].copy()
    extreme[0, 0], extreme[1, 29], extreme[2, 1:29], extreme[3] = 172792, 25691.16, 100, 0
    features = np.concatenate([test_x, extreme])
    assert training.disagreement(training.onnx_scores(path, features), autoencoder.scores(features)) < 1e-5
    assert training.onnx_scores(path, features[:1]).shape == (1,)
    assert training.onnx_scores(path, features[:0]).shape == (0,)


def test_scores_do_not_depend_on_the_batch(trained, tmp_path):
    autoencoder, _, test_x, _, _ = trained
    path = tmp_path / "model.onnx"
    training.export_onnx(autoencoder, path, 1.5)
    whole = training.onnx_scores(path, test_x[:64])
    rows = np.concatenate([training.onnx_scores(path, test_x[index : index + 1]) for index in range(64)])
    assert training.disagreement(rows, whole) < 1e-6


def test_the_file_tells_what_it_is(trained, tmp_path):
    import onnx

    path = tmp_path / "folder" / "model.onnx"
    training.export_onnx(trained[0], path, 1.5, "a test")
    model = onnx.load(path)
    properties = {each.key: each.value for each in model.metadata_props}
    assert properties["threshold"] == "1.5" and properties["trained_on"] == "a test"
    assert properties["features"].split(",") == ["Time", *[f"V{index}" for index in range(1, 29)], "Amount"]
    assert [each.name for each in model.graph.input] == ["features"] and [each.name for each in model.graph.output] == ["score"]
    assert path.stat().st_size < 20000


def test_generated_frauds_stand_out(trained):
    autoencoder, _, test_x, _, test_y = trained
    assert training.quality(autoencoder.scores(test_x), test_y, 5.0)["roc_auc"] > 0.98


def test_generated_payments_have_the_published_statistics():
    features, labels = training.generated_payments(100000, seed=5)
    assert 120 < labels.sum() < 230
    np.testing.assert_allclose(features[labels == 0, 1:29].std(axis=0), training.V_DEVIATIONS, rtol=0.02)
    assert features[:, 0].min() >= 0 and features[:, 0].max() < 172800
    assert (np.diff(features[:, 0]) >= 0).all() and (features[:, 0] == np.floor(features[:, 0])).all()
    again, _ = training.generated_payments(100000, seed=5)
    assert (again == features).all()


def test_the_threshold_with_the_best_f1():
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.7, 0.3])
    assert training.best_threshold(scores, np.array([0, 1, 1, 0, 0, 0])) == pytest.approx(0.75)
    assert training.best_threshold(scores, np.array([0, 1, 1, 0, 1, 0])) == pytest.approx(0.5)
    assert 0.7 < training.best_threshold(scores, np.zeros(6, dtype=int)) <= 0.9


def test_payments_from_files_of_31_and_34_columns(tmp_path):
    values = ",".join(f"{index}.5" for index in range(1, 30))
    kaggle = tmp_path / "kaggle.csv"
    kaggle.write_text('"Time",' + ",".join(f'"V{index}"' for index in range(1, 29)) + f',"Amount","Class"\n7,{values},"1"\n')
    source = tmp_path / "source.csv"
    source.write_text(f'1,"2018-12-18T12:00:00Z","Kai",7,{values},"0"\n2,"2018-12-18T12:00:00Z","Kai",7,{values},\n')
    features, labels = training.payments_from_csv([kaggle, source])
    assert labels.tolist() == [1, 0]
    assert features.tolist() == [[7.0, *[index + 0.5 for index in range(1, 30)]]] * 2
    source.write_text("1,2,3\n")
    with pytest.raises(SystemExit, match=r"source.csv:1: 3 columns"):
        training.payments_from_csv([source])


def test_payments_from_a_frame_of_the_stream():
    import pandas

    frame = pandas.DataFrame({name.upper(): [1.0, 2.0, None] for name in training.FEATURES})
    frame["CLASS"] = pandas.array(["0", '"1"', "0"], dtype="string")
    features, labels = training.payments_from_frame(frame)
    assert features.shape == (2, 30) and labels.tolist() == [0, 1]


def test_real_payments_reach_the_articles_quality(tmp_path):
    files = sorted((SHARED / "data").glob("creditcard_real_part*of2.csv.gz"))
    if len(files) != 2:
        pytest.skip(f"the real payments are not at {SHARED / 'data'} (MARTLET_SHARED)")
    features, labels = training.payments_from_csv(files)
    train_x, test_x, train_y, test_y = training.split(features, labels)
    autoencoder = training.train(train_x, train_y, epochs=5, batch_size=64)
    path = tmp_path / "model.onnx"
    training.export_onnx(autoencoder, path, 5.0)
    scores = training.onnx_scores(path, test_x)
    assert training.disagreement(scores, autoencoder.scores(test_x)) < 1e-5
    found = training.quality(scores, test_y, 5.0)
    assert found["roc_auc"] >= 0.95 and found["average_precision"] >= 0.55, found


def test_the_model_of_make_run_is_the_scripts(tmp_path):
    """The committed file has the script's form, and separates freshly generated frauds at its own threshold."""
    import json

    import onnx

    path = ROOT / "models" / "fraud_autoencoder.onnx"
    properties = {each.key: each.value for each in onnx.load(path).metadata_props}
    about = json.loads(path.with_suffix(".json").read_text())
    assert float(properties["threshold"]) == about["threshold"] and properties["trained_on"] == about["trained_on"]
    features, labels = training.generated_payments(50000, seed=11)
    found = training.quality(training.onnx_scores(path, features), labels, about["threshold"])
    assert found["precision"] > 0.5 and found["recall"] > 0.7 and found["roc_auc"] > 0.98, found
