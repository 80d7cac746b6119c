"""MLflow: an experiment with a run per lane. An extra: ``pip install -r requirements-extra.txt``."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssam.export.source import Source

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

METRICS = ("train_loss", "test_loss", "test_accuracy", "lr", "gradients", "seconds", "eigenvalue")
BATCH = 1000  # metrics that one request may log


def mlflow(source: Source, folder: Path) -> None:
    """To the tracking server that ``MLFLOW_TRACKING_URI`` names, else into ``mlflow.db`` in the folder.

    Raises ValueError, one line, where MLflow is not installed or its server refuses."""
    if why := why_not(source):
        raise ValueError(why)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is told to others that nobody asked for
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    target = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    try:
        _log(MlflowClient(tracking_uri=target), source)
    except MlflowException as error:
        raise ValueError(f"mlflow: {' '.join(str(error).split())[:300]}") from None


def why_not(source: Source) -> str:
    """Empty, or what to do where MLflow is not installed."""
    return (
        ""
        if importlib.util.find_spec("mlflow")
        else "MLflow is not installed here: pip install -r requirements-extra.txt"
    )


def _log(client: "MlflowClient", source: Source) -> None:
    from mlflow.entities import Metric, Param

    known = client.get_experiment_by_name(source.title)
    experiment = known.experiment_id if known else client.create_experiment(source.title)
    start = source.run.started or source.run.created
    race = source.spec.model_dump(mode="json", exclude={"lanes"})
    for name, lane in zip(source.spec.lane_names, source.spec.lanes, strict=True):
        tags = {"race": source.run.id, "machine": source.info["device_name"], "link": source.link}
        run = client.create_run(experiment, start_time=int(1000 * start), run_name=name, tags=tags).info.run_id
        settings: dict[str, Any] = race | {"lane": str(lane), "method": lane.method}
        settings |= {"rho": source.spec.lane_rho(lane), "sparsity": source.spec.lane_sparsity(lane)}
        client.log_batch(run, params=[Param(key, str(value)) for key, value in settings.items()])
        rows = source.evaluations[source.evaluations["lane"] == name].to_dict("records")
        metrics = [
            Metric(column, float(row[column]), int(1000 * (start + row["seconds"])), int(row["step"]))
            for row in rows
            for column in METRICS
            if row[column] is not None and row[column] == row[column]
        ]
        for first in range(0, len(metrics), BATCH):
            client.log_batch(run, metrics=metrics[first : first + BATCH])
        client.set_terminated(run, end_time=int(1000 * (source.run.ended or start)))
