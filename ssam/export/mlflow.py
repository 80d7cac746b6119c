"""MLflow: an experiment with a run per lane. An extra: ``pip install -r requirements-extra.txt``."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssam.export.source import Source
from ssam.store.outcome import company
from ssam.store.views import ENDED

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

METRICS = (
    *("train_loss", "test_loss", "test_accuracy", "validation_loss", "validation_accuracy"),
    *("lr", "gradients", "seconds", "eigenvalue"),
)
BATCH = 1000  # maximal number of metrics per request


def mlflow(source: Source, folder: Path) -> None:
    """Export to the tracking server of ``MLFLOW_TRACKING_URI``, else into ``mlflow.db`` in the folder.

    Raise ValueError, one line, if MLflow is not installed or its server refuses."""
    if why := why_not(source):
        raise ValueError(why)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no telemetry
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    target = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    try:
        _log(MlflowClient(tracking_uri=target), source)
    except MlflowException as error:
        raise ValueError(f"mlflow: {' '.join(str(error).split())[:300]}") from None


def why_not(source: Source) -> str:
    """Return what to do if MLflow is not installed; empty if it is."""
    return (
        ""
        if importlib.util.find_spec("mlflow")
        else "MLflow is not installed here: pip install -r requirements-extra.txt"
    )


def _log(client: "MlflowClient", source: Source) -> None:
    """Log a run for each lane. A run of an earlier export is updated with what it lacks."""
    from mlflow.entities import Param

    existing = client.get_experiment_by_name(source.title)
    experiment = existing.experiment_id if existing else client.create_experiment(source.title)
    start = source.run.started or source.run.created
    race = source.spec.model_dump(mode="json", exclude={"lanes"})
    earlier = _earlier(client, experiment, source.run.id)
    for name, lane in zip(source.spec.lane_names, source.spec.lanes, strict=True):
        status = source.statuses[name]
        tags = {"race": source.run.id, "lane": name, "status": status}
        tags |= {"machine": source.info["device_name"], "company": company(source.run), "link": source.link}
        run = earlier.get(name)
        if run is None:
            run = client.create_run(experiment, start_time=int(1000 * start), run_name=name).info.run_id
        for tag, value in tags.items():
            client.set_tag(run, tag, value)
        settings: dict[str, Any] = race | {"lane": str(lane), "method": lane.method}
        settings |= {"rho": source.spec.lane_rho(lane), "sparsity": source.spec.lane_sparsity(lane)}
        settings["test_size"] = source.info["test_size"]
        logged = client.get_run(run).data.params
        client.log_batch(run, params=[Param(key, str(value)) for key, value in settings.items() if key not in logged])
        _log_metrics(client, run, source.evaluations[source.evaluations["lane"] == name].to_dict("records"), start)
        if status == "diverged" or status in ENDED:
            how = {"finished": "FINISHED", "diverged": "FAILED"}.get(status, "KILLED")
            client.set_terminated(run, how, int(1000 * (source.run.ended or start)))


def _earlier(client: "MlflowClient", experiment: str, race: str) -> dict[str, str]:
    """Return this race's existing runs, by lane."""
    runs = client.search_runs([experiment], f"tags.race = '{race}'", max_results=1000)
    return {run.data.tags.get("lane") or run.info.run_name: run.info.run_id for run in runs}


def _log_metrics(client: "MlflowClient", run: str, rows: list[dict[str, Any]], start: float) -> None:
    from mlflow.entities import Metric

    metrics = []
    for column in METRICS:
        logged = {(seen.step, seen.timestamp) for seen in client.get_metric_history(run, column)}
        for row in rows:
            place = (int(row["step"]), int(1000 * (start + row["seconds"])))
            value = row[column]
            if value is not None and value == value and place not in logged:
                metrics.append(Metric(column, float(value), place[1], place[0]))
    for first in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[first : first + BATCH])
