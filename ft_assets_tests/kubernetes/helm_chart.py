"""What Dagster's Helm chart makes of the values in k8s/helm, as far as it matters here.

Neither the chart nor helm can be had in a test. So this repeats, for the keys that the values use, how the chart's
templates write dagster.yaml (configmap-instance.yaml and helpers/instance of chart 1.13) and what it gives its pods,
and it lists the keys of the chart's schema where that schema refuses others.
"""

from typing import Any

import yaml

from ft_assets_tests.kubernetes.manifest_files import K8S

Values = dict[str, Any]
_POD = {
    *("image", "env", "envConfigMaps", "envSecrets", "labels", "nodeSelector", "affinity", "tolerations", "resources"),
    *("podSecurityContext", "securityContext", "annotations", "schedulerName", "volumeMounts", "volumes"),
    *("livenessProbe", "readinessProbe", "startupProbe"),
}
_SERVER = _POD | {
    *("deploymentLabels", "checkDbReadyInitContainer", "initContainerResources", "logFormat", "extraContainers"),
    "extraPrependedInitContainers",
}
KNOWN = {  # by path: what values.schema.json allows; the chart refuses the whole release for any other key
    "dagsterWebserver": _SERVER
    | {"replicaCount", "nameOverride", "pathPrefix", "service", "workspace", "enableReadOnly", "dbStatementTimeout"}
    | {"dbPoolRecycle", "dbPoolMaxOverflow", "logLevel"},
    "dagsterWebserver.service": {"type", "port", "annotations"},
    "dagsterDaemon": _SERVER
    | {"enabled", "runCoordinator", "heartbeatTolerance", "runMonitoring", "runRetries", "sensors", "schedules"}
    | {"backfills"},
    "dagsterDaemon.runCoordinator": {"enabled", "type", "config"},
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": {
        *("maxConcurrentRuns", "tagConcurrencyLimits", "dequeueIntervalSeconds", "dequeueNumWorkers"),
        *("dequeueUseThreads", "blockOpConcurrencyLimitedRuns"),
    },
    "concurrency": {"enabled", "pools", "runs"},
    "concurrency.pools": {"defaultLimit", "granularity", "opGranularityRunBuffer"},
    "concurrency.runs": {"maxConcurrentRuns", "tagConcurrencyLimits"},
    "computeLogManager": {"type", "config"},
    "runLauncher": {"type", "config"},
    "retention": {"enabled", "sensor", "schedule", "autoMaterialize"},
    "retention.sensor.purgeAfterDays": {"skipped", "success", "failure", "started"},
    "retention.schedule.purgeAfterDays": {"skipped", "success", "failure", "started"},
}
KNOWN_OF_A_CODE_SERVER = _POD | {
    *("name", "dagsterApiGrpcArgs", "codeServerArgs", "includeConfigInLaunchedRuns", "deploymentNamespace", "port"),
    *("replicaCount", "service", "initContainers", "sidecarContainers", "serviceAccount", "deploymentStrategy"),
}


def values(*names: str) -> Values:
    """The values files, each over those before it; Helm merges mappings and replaces lists."""
    merged: Values = {}
    for name in names:
        merged = _over(merged, yaml.safe_load((K8S / "helm" / name).read_text()))
    return merged


def launcher(found: Values) -> Values:
    """Module, class and config of the run launcher."""
    assert found["runLauncher"]["type"] == "CustomRunLauncher"
    return dict(found["runLauncher"]["config"]["customRunLauncher"])


def dagster_yaml(found: Values) -> Values:
    """The instance's settings in the config map `dagster-instance`."""
    database = {"postgres_db": _postgres(found["postgresql"])}
    stores = {"schedule_storage": "Schedule", "run_storage": "Run", "event_log_storage": "EventLog"}
    modules = {"event_log_storage": "event_log"}
    daemon = found["dagsterDaemon"]
    monitoring, retries, coordinator = daemon["runMonitoring"], daemon["runRetries"], daemon["runCoordinator"]
    concurrency = found.get("concurrency") or {"enabled": False}
    return {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        **{
            key: {
                "module": f"dagster_postgres.{modules.get(key, key)}",
                "class": f"Postgres{kind}Storage",
                "config": database,
            }
            for key, kind in stores.items()
        },
        "run_launcher": launcher(found),
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": coordinator["type"],
            "config": _queue(coordinator["config"]["queuedRunCoordinator"], concurrency["enabled"]),
        },
        "compute_logs": _compute_logs(found["computeLogManager"]),
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
            "free_slots_after_run_end_seconds": monitoring["freeSlotsAfterRunEndSeconds"],
        },
        "run_retries": {"enabled": retries["enabled"], **({"max_retries": n} if (n := retries["maxRetries"]) else {})},
        "sensors": {"use_threads": daemon["sensors"]["useThreads"], "num_workers": daemon["sensors"]["numWorkers"]},
        "schedules": {
            "use_threads": daemon["schedules"]["useThreads"],
            "num_workers": daemon["schedules"]["numWorkers"],
        },
        "telemetry": {"enabled": found["telemetry"]["enabled"]},
        "retention": {
            kind: {"purge_after_days": found["retention"][kind]["purgeAfterDays"]} for kind in ("sensor", "schedule")
        },
        **({"concurrency": _concurrency(concurrency)} if concurrency["enabled"] else {}),
        **found["additionalInstanceConfig"],
    }


def unknown_keys(found: Values) -> list[str]:
    """Paths of values that the chart's schema refuses, or its templates never read."""
    wrong = []
    for path, known in KNOWN.items():
        given: Any = found
        for step in path.split("."):
            given = (given or {}).get(step)
        wrong += [f"{path}.{key}" for key in set(given or {}) - known]
    for code in found["dagster-user-deployments"]["deployments"]:
        wrong += [f"deployments.{key}" for key in set(code) - KNOWN_OF_A_CODE_SERVER]
    return sorted(wrong)


def servers(found: Values) -> dict[str, Values]:
    """What the values say of web server, daemon and code server, by the chart's label `component`."""
    (code,) = found["dagster-user-deployments"]["deployments"]
    return {
        "dagster-webserver": found["dagsterWebserver"],
        "dagster-daemon": found["dagsterDaemon"],
        "user-deployments": code,
    }


def pod_of(server: Values) -> Values:
    """The parts of a server's pod that come from the values."""
    container = {
        "name": "dagster",
        "image": f"{server['image']['repository']}:{server['image']['tag']}",
        "imagePullPolicy": server["image"]["pullPolicy"],
        "securityContext": server["securityContext"],
        "resources": server["resources"],
        "volumeMounts": server["volumeMounts"],
        "envFrom": [{"configMapRef": each} for each in server["envConfigMaps"]],
    }
    return {"securityContext": server["podSecurityContext"], "containers": [container], "volumes": server["volumes"]}


def _queue(given: Values, has_concurrency: bool) -> Values:
    """Without `concurrency.enabled` the chart writes a limit of runs even where the values name none."""
    most = given.get("maxConcurrentRuns")
    limit = {} if has_concurrency and most is None else {"max_concurrent_runs": -1 if most is None else most}
    return {
        **limit,
        "dequeue_use_threads": given["dequeueUseThreads"],
        "dequeue_num_workers": given["dequeueNumWorkers"],
    }


def _concurrency(given: Values) -> Values:
    pools, runs = given["pools"], given["runs"]
    return {
        "pools": {"default_limit": pools["defaultLimit"], "granularity": pools["granularity"]},
        "runs": {
            "max_concurrent_runs": runs["maxConcurrentRuns"],
            "tag_concurrency_limits": runs["tagConcurrencyLimits"],
        },
    }


def _postgres(given: Values) -> Values:
    return {
        "username": given["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "hostname": given["postgresqlHost"],
        "db_name": given["postgresqlDatabase"],
        "port": given["service"]["port"],
        "params": given["postgresqlParams"],
    }


def _compute_logs(given: Values) -> Values:
    if given["type"] == "S3ComputeLogManager":
        told = given["config"]["s3ComputeLogManager"]
        config = {"bucket": told["bucket"], "prefix": told["prefix"], "upload_interval": told["uploadInterval"]}
        config["region"] = told["region"]
        return {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": given["type"],
            "config": {**config, "verify": True},
        }
    return dict(given["config"]["customComputeLogManager"])


def _over(under: Values, over: Values) -> Values:
    both = {key: _over(under[key], over[key]) for key in under.keys() & over.keys() if isinstance(under[key], dict)}
    return {**under, **over, **both}
