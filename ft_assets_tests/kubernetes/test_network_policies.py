"""Who reaches what in the two namespaces, by the policies of base and of the PostgreSQL component."""

import pytest

from ft_assets_tests.kubernetes.manifest_files import K8S, documents, listed, of_kind
from ft_assets_tests.kubernetes.network_reach import Place, reaches

OUTSIDE = {"to-the-stores-outside", "mlflow-to-its-database"}  # of overlays/s3
POLICIES = [policy for policy in of_kind("NetworkPolicy") if policy["metadata"]["name"] not in OUTSIDE]


def pod(**labels: str) -> Place:
    return Place("ft-assets", {"ft-assets/stores": "true", **labels})


def step(asset: str) -> Place:
    return pod(**{"app.kubernetes.io/component": "step_worker", "dagster/op": asset})


RUN_WORKER = pod(**{"app.kubernetes.io/component": "run_worker"})
DAGSTER = {name: pod(component=name) for name in ("dagster-webserver", "dagster-daemon", "user-deployments")}
STEPS = ["raw_interactions", "judge_scores", "curated_examples", "train_eval_split", "base_model", "lora_checkpoint"]
STEPS += ["evaluation_report", "registered_model"]
BY_HAND = Place("ft-assets", {"app.kubernetes.io/name": "train-by-hand"})

DNS = Place("kube-system", {"k8s-app": "kube-dns"})
MLFLOW = Place("ft-assets", {"app.kubernetes.io/name": "mlflow", "app.kubernetes.io/part-of": "ft-assets"})
POSTGRESQL = Place("ft-assets", {"app.kubernetes.io/name": "postgresql"})
JUDGE = Place("ai-services", {"ft-assets/judge": "true"})
HUB, METADATA, API = Place(address="93.184.216.34"), Place(address="169.254.169.254"), Place(address="10.0.12.7")
SERVER = Place("ai-services", {"app": "model-server", "model": "ea-qa-engineer", "version": "v2"})
STRANGER = Place("default", {"app": "anything"})


@pytest.mark.parametrize("asset", STEPS)
def test_every_step_reaches_names_mlflow_and_postgresql(asset: str) -> None:
    assert reaches(POLICIES, step(asset), DNS, 53, "UDP")
    assert reaches(POLICIES, step(asset), MLFLOW, 5500)
    assert reaches(POLICIES, step(asset), POSTGRESQL, 5432)


def test_only_steps_that_judge_reach_the_judge() -> None:
    allowed = [asset for asset in STEPS if reaches(POLICIES, step(asset), JUDGE, 8000)]
    assert allowed == ["judge_scores", "evaluation_report"]
    assert not [
        one for one in (RUN_WORKER, BY_HAND, STRANGER, *DAGSTER.values()) if reaches(POLICIES, one, JUDGE, 8000)
    ]


def test_only_the_step_that_fetches_a_base_model_reaches_the_internet() -> None:
    assert [asset for asset in STEPS if reaches(POLICIES, step(asset), HUB, 443)] == ["base_model"]
    assert not reaches(POLICIES, step("base_model"), HUB, 80)
    assert not reaches(POLICIES, step("base_model"), METADATA, 443)
    assert not [one for one in (RUN_WORKER, BY_HAND, SERVER, *DAGSTER.values()) if reaches(POLICIES, one, HUB, 443)]


def test_run_workers_and_dagster_reach_the_kubernetes_api_and_steps_do_not() -> None:
    for port in (443, 6443):
        assert all(reaches(POLICIES, one, API, port) for one in (RUN_WORKER, *DAGSTER.values()))
        assert not [asset for asset in STEPS if reaches(POLICIES, step(asset), API, port)]


def test_nobody_else_reaches_the_stores_the_code_server_or_the_ui() -> None:
    for target, port in ((MLFLOW, 5500), (POSTGRESQL, 5432), (DAGSTER["user-deployments"], 3030)):
        assert not reaches(POLICIES, STRANGER, target, port)
        assert not reaches(POLICIES, SERVER, target, port)
        assert not reaches(POLICIES, BY_HAND, target, port)
    assert reaches(POLICIES, MLFLOW, POSTGRESQL, 5432)
    assert reaches(POLICIES, DAGSTER["dagster-daemon"], DAGSTER["user-deployments"], 3030)
    assert not reaches(POLICIES, step("lora_checkpoint"), DAGSTER["user-deployments"], 3030)
    entrance = Place("ingress", {}, namespace_labels={"ft-assets/entrance": "true"})
    assert reaches(POLICIES, entrance, DAGSTER["dagster-webserver"], 8080)
    assert not reaches(POLICIES, STRANGER, DAGSTER["dagster-webserver"], 8080)
    assert not reaches(POLICIES, step("lora_checkpoint"), DAGSTER["dagster-webserver"], 8080)


def test_model_servers_are_reached_by_the_gateway_alone() -> None:
    assert reaches(POLICIES, Place("ai-services", {"app": "gateway"}), SERVER, 8080)
    assert not reaches(POLICIES, STRANGER, SERVER, 8080)
    assert not reaches(POLICIES, step("evaluation_report"), SERVER, 8080)


def test_ranks_of_one_training_reach_each_other_on_any_port() -> None:
    ranks = [Place("ft-assets", {"jobset.sigs.k8s.io/jobset-name": "train-qa-engineer"}) for _ in range(2)]
    assert reaches(POLICIES, ranks[0], ranks[1], 29500)
    assert reaches(POLICIES, ranks[0], ranks[1], 43117)
    assert not reaches(POLICIES, ranks[0], HUB, 443)
    assert not reaches(POLICIES, step("lora_checkpoint"), ranks[1], 29500)


def test_a_lake_on_s3_is_reached_by_those_with_the_label_and_by_no_others() -> None:
    outside = [
        thing
        for path in listed(K8S / "overlays/s3/kustomization.yaml", "resources")
        if path.is_file()
        for thing in documents(path)
    ]
    policies = [*(policy for policy in POLICIES if policy["metadata"]["name"] != "postgresql"), *outside]
    bucket, database = Place(address="198.51.100.9"), Place(address="192.0.2.9")
    for asset in STEPS:
        assert reaches(policies, step(asset), bucket, 443)
        assert reaches(policies, step(asset), database, 5432)
    assert reaches(policies, MLFLOW, database, 5432)
    assert not reaches(policies, MLFLOW, bucket, 443)
    assert not reaches(policies, BY_HAND, bucket, 443)
