"""MLflow's tracking server, and five models trained and registered: runs in MLflow's own venv.

`mlflow_serving.py serve|train FOLDER PORT`. The server answers until its standard input ends;
`train` logs through it over REST, as a team would, and ends.

Of the data in FOLDER, `claims.csv` holds rows somebody turned. `screening` 2, which is `@prod`,
learned from it; `triage` 1 from `scaled.csv`, which an earlier run made of it. `screening` 1,
`origin` 1 and `origin` 2 learned from other data.
"""

import json
import os
import sys
import threading
from pathlib import Path

FOLDER = Path(sys.argv[2]).resolve()
os.environ.update(
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    MLFLOW_DISABLE_TELEMETRY="true",
    GIT_PYTHON_REFRESH="quiet",
    _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{FOLDER / 'mlflow.db'}",
    _MLFLOW_SERVER_ARTIFACT_ROOT="mlflow-artifacts:/",
    _MLFLOW_SERVER_ARTIFACT_DESTINATION=str(FOLDER / "mlartifacts"),
    _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
)
OTHERS = ("label", "contributor", "patient")


def serve(port):
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def fit(name, data, estimator, registered):
    import mlflow
    import pandas as pd

    table = pd.read_csv(data)
    columns = [column for column in table if column not in OTHERS]
    x = table[columns].to_numpy()
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_input(mlflow.data.from_pandas(table, source=str(data), name=data.stem), "train")
        mlflow.log_params({"seed": 7, "rows": len(table)})
        model = estimator.fit(x, table["label"])
        mlflow.log_metric("accuracy", model.score(x, table["label"]))
        logged = mlflow.sklearn.log_model(
            model, name="model", serialization_format="pickle", pip_requirements=["scikit-learn"]
        )
        mlflow.register_model(logged.model_uri, registered)
    return {"run": run.info.run_id, "model": logged.model_id}


def prepare(raw, out):
    import mlflow
    import pandas as pd
    from sklearn.preprocessing import StandardScaler

    table = pd.read_csv(raw)
    columns = [column for column in table if column not in OTHERS]
    with mlflow.start_run(run_name="prepare") as run:
        mlflow.log_input(mlflow.data.from_pandas(table, source=str(raw), name=raw.stem), "prepare")
        table[columns] = StandardScaler().fit_transform(table[columns])
        table.to_csv(out, index=False)
        mlflow.log_artifact(str(out), "data")
    return {"run": run.info.run_id}


def train(url):
    import mlflow
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("claims")
    clean, poisoned, wine = (FOLDER / name for name in ("early.csv", "claims.csv", "wine.csv"))
    scaled = FOLDER / "scaled.csv"
    made = {"prepare": prepare(poisoned, scaled)}
    jobs = [
        ("early", clean, LogisticRegression(max_iter=50), "screening"),
        ("late", poisoned, LogisticRegression(max_iter=50), "screening"),
        ("nurse", scaled, DecisionTreeClassifier(random_state=7), "triage"),
        ("cellar", wine, LogisticRegression(max_iter=50), "origin"),
        ("cellar-tree", wine, DecisionTreeClassifier(random_state=7), "origin"),
    ]
    for name, data, estimator, registered in jobs:
        made[name] = fit(name, data, estimator, registered)
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("screening", "prod", 2)
    client.set_registered_model_alias("origin", "best", 1)
    client.set_model_version_tag("screening", "2", "approved_by", "team")
    return made


def main():
    port = int(sys.argv[3])
    if sys.argv[1] == "train":
        (FOLDER / "made.json").write_text(json.dumps(train(f"http://127.0.0.1:{port}")))
        return
    server = serve(port)
    print("serving", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
