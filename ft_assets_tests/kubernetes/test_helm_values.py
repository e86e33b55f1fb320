from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.instance.config import dagster_instance_config_schema, validate_concurrency_config
from dagster_k8s import K8sRunLauncher

from ft_assets.defs.run_pods import RunPods
from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.helm_chart import dagster_yaml, launcher, pod_of, servers, unknown_keys, values
from ft_assets_tests.kubernetes.manifest_files import K8S, documents, named
from ft_assets_tests.kubernetes.pod_security import violations

FILES = [("values.yaml",), ("values.yaml", "values-s3.yaml"), ("values.yaml", "values-kueue.yaml")]
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
    "current-context": "none",
}
given = pytest.mark.parametrize("files", FILES, ids=["shared volume", "s3", "kueue"])


@given
def test_dagster_takes_the_instance_that_the_chart_writes(files: tuple[str, ...]) -> None:
    found = process_config(dagster_instance_config_schema(), dagster_yaml(values(*files)))
    assert found.success, [error.message for error in found.errors or []]


@given
def test_the_charts_schema_knows_every_key(files: tuple[str, ...]) -> None:
    assert unknown_keys(values(*files)) == []


def test_a_key_that_the_chart_does_not_know_is_found() -> None:
    found = values("values.yaml")
    found["dagsterDaemon"] = {**found["dagsterDaemon"], "replicaCount": 1}
    assert unknown_keys(found) == ["dagsterDaemon.replicaCount"]


@given
def test_the_limits_of_runs_and_pools_stand_where_dagster_takes_them_beside_what_the_chart_writes(
    files: tuple[str, ...],
) -> None:
    found = values(*files)
    validate_concurrency_config(dagster_yaml(found))
    limits = {"concurrency": dagster_yaml(found)["concurrency"]}
    with pytest.raises(DagsterInvalidConfigError, match="max_concurrent_runs"):
        validate_concurrency_config(dagster_yaml({**found, "concurrency": None, "additionalInstanceConfig": limits}))


@given
def test_the_run_launcher_takes_its_config_and_is_ours(files: tuple[str, ...]) -> None:
    found = launcher(values(*files))
    assert (found["module"], found["class"]) == (RunPods.__module__, RunPods.__name__)
    processed = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), found["config"])
    assert processed.success, [error.message for error in processed.errors or []]


def test_compute_logs_on_s3_take_their_config() -> None:
    manager = pytest.importorskip("dagster_aws.s3.compute_log_manager").S3ComputeLogManager
    found = dagster_yaml(values("values.yaml", "values-s3.yaml"))["compute_logs"]
    assert (found["module"], found["class"]) == (manager.__module__, manager.__name__)
    processed = process_config(resolve_to_config_type(manager.config_type()), found["config"])
    assert processed.success, [error.message for error in processed.errors or []]


def test_logs_on_s3_are_written_often_and_to_the_region_and_the_bucket_of_the_lake() -> None:
    found = dagster_yaml(values("values.yaml", "values-s3.yaml"))["compute_logs"]["config"]
    (settings,) = documents(K8S / "overlays/s3/settings.yaml")
    lake, region = (settings["data"][name] for name in ("FT_ASSETS_LAKE", "AWS_REGION"))
    assert lake.startswith(f"s3://{found['bucket']}/")
    assert found["region"] == region
    assert 0 < found["upload_interval"] <= 60, "without it a pod that is killed leaves no output"


@pytest.mark.slow
def test_the_instance_loads_with_its_pools_its_monitoring_and_its_queue(tmp_path: Path) -> None:
    settings = dagster_yaml(values("values.yaml"))
    for store in ("schedule_storage", "run_storage", "event_log_storage"):
        settings.pop(store)  # the database and RunPods are in test_submitted_jobs.py
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(KUBECONFIG))
    nobody = {"load_incluster_config": False, "kubeconfig_file": str(tmp_path / "kubeconfig")}
    config = {**settings["run_launcher"]["config"], **nobody}
    settings["run_launcher"] = {"module": "dagster_k8s", "class": "K8sRunLauncher", "config": config}
    settings["compute_logs"]["config"]["base_dir"] = str(tmp_path / "compute_logs")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_resume_run_attempts == 3
        assert instance.run_monitoring_start_timeout_seconds == 1800
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 10
        (limit,) = concurrency.run_queue_config.tag_concurrency_limits
        assert limit["key"] == "dagster/partition"
        assert concurrency.pool_config.default_pool_limit == 1
        assert instance.run_retries_max_retries == 0
        assert not instance.telemetry_enabled
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"


def test_a_cluster_keeps_events_and_slots_as_a_laptop_does() -> None:
    laptop = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    cluster = dagster_yaml(values("values.yaml"))
    assert cluster["retention"] == laptop["retention"]
    assert cluster["run_retries"]["enabled"] == laptop["run_retries"]["enabled"]
    assert cluster["concurrency"]["pools"] == laptop["concurrency"]["pools"]
    tags = "tag_concurrency_limits"
    assert cluster["concurrency"]["runs"][tags] == laptop["concurrency"]["runs"][tags]


@given
def test_the_charts_pods_keep_to_the_restricted_level_and_carry_the_label_of_the_stores(files: tuple[str, ...]) -> None:
    for name, server in servers(values(*files)).items():
        assert violations(pod_of(server)) == [], name
        assert server["securityContext"]["readOnlyRootFilesystem"] is True
        assert server["labels"]["ft-assets/stores"] == "true"
        assert {"cpu", "memory"} <= set(server["resources"]["requests"])
        if name != "user-deployments":  # the chart gives the others containers that wait; the quota asks them too
            waiting = server["initContainerResources"]
            assert {"cpu", "memory"} <= set(waiting["requests"])
            assert "memory" in waiting["limits"]
        assert server["envConfigMaps"] == [{"name": "ft-assets-settings"}]


@given
def test_every_mount_has_its_volume_and_every_writable_place_is_a_volume(files: tuple[str, ...]) -> None:
    found = values(*files)
    config = launcher(found)["config"]
    pods = [*(servers(found).values()), {"volumeMounts": config["volume_mounts"], "volumes": config["volumes"]}]
    for pod in pods:
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["volumeMounts"]}
        assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]} - (
            set() if "/lake" in str(mounts) else {"lake"}
        )
        assert mounts["/tmp"] == "tmp"
        assert mounts["/run/secrets/database"] == "database"
        secrets = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
        assert all(mount.get("readOnly") for mount in pod["volumeMounts"] if mount["name"] in secrets)


@given
def test_the_code_server_reads_the_instance_instead_of_making_one_on_a_disk_it_cannot_write(
    files: tuple[str, ...],
) -> None:
    found = values(*files)
    code = servers(found)["user-deployments"]
    mounts = {mount["mountPath"]: mount for mount in code["volumeMounts"]}
    mount = mounts[f"{found['global']['dagsterHome']}/dagster.yaml"]
    (volume,) = [each for each in code["volumes"] if each["name"] == mount["name"]]
    assert volume["configMap"]["name"] == launcher(found)["config"]["instance_config_map"]
    assert mount["subPath"] == "dagster.yaml"


def test_what_the_values_name_is_what_the_manifests_make() -> None:
    found = values("values.yaml")
    config = launcher(found)["config"]
    pod = config["run_k8s_config"]["pod_spec_config"]
    assert found["rbacEnabled"] is False
    assert found["dagster-user-deployments"]["rbacEnabled"] is False
    assert found["global"]["serviceAccountName"] == config["service_account_name"]
    namespace = config["job_namespace"]
    assert named("ServiceAccount", config["service_account_name"], namespace)
    assert named("PriorityClass", pod["priority_class_name"])
    for settings in config["env_config_maps"]:
        assert named("ConfigMap", settings, namespace)
    claims = [v["persistentVolumeClaim"]["claimName"] for v in config["volumes"] if "persistentVolumeClaim" in v]
    assert [named("PersistentVolumeClaim", claim, namespace)["spec"]["accessModes"] for claim in claims] == [
        ["ReadWriteMany"]
    ]
    data = named("ConfigMap", "ft-assets-settings")["data"]
    mounts = [mount["mountPath"] for mount in config["volume_mounts"]]
    for name in ("PGSERVICEFILE", "HF_TOKEN_PATH", "FT_ASSETS_LAKE"):
        assert any(data[name].startswith(f"{mount}/") for mount in mounts), name
    ports = {found["dagsterWebserver"]["service"]["port"]}
    ports |= {found["dagsterWebserver"][probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")}
    assert ports == {named("NetworkPolicy", "web-server")["spec"]["ingress"][0]["ports"][0]["port"]}


@given
def test_no_password_stands_in_the_values(files: tuple[str, ...]) -> None:
    found = values(*files)
    assert found["postgresql"]["postgresqlPassword"] == ""
    assert found["postgresql"]["postgresqlParams"] == {"service": "dagster"}
    config = launcher(found)["config"]
    assert not {"env_secrets", "env_vars", "postgres_password_secret"} & set(config)
