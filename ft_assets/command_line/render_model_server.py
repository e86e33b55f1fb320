"""`ft-assets render-model-server`: the manifests that serve a registered model, for `kubectl apply -f -`."""

from typing import Annotated

import typer

from ft_assets.command_line.arguments import Model

Image = Annotated[str, typer.Option("--image", help="Image of the model server, with its version.", show_default=False)]
Claim = Annotated[
    str, typer.Option("--claim", help="Claim in ai-services whose root is the lake; many nodes mount it to read.")
]


def render_model_server(model: Model, image: Image, claim: Claim = "models") -> None:
    """Prints Deployment and PodDisruptionBudget of a registered model: three replicas that read it from the lake."""
    import json

    import yaml

    from ft_assets.answers.named_models import find_model
    from ft_assets.cluster.pod_config import GpuNodes
    from ft_assets.command_line.stores import Stores
    from ft_assets.errors import BadConfiguration
    from ft_assets.release.model_server import model_server
    from ft_assets.state_registry import registrations

    stores = Stores()
    found = find_model(stores.state, model)
    versions = registrations(stores.state, found.specialization)
    version = next((each for each in versions if each.model_digest == found.digest), None)
    if version is None:
        raise BadConfiguration(
            f"{found.name} was trained and never registered, so it has no version to serve under. Materialize "
            f"registered_model of {found.specialization} first."
        )
    nodes = GpuNodes(stores.settings.gpu_node_selector, stores.settings.gpu_taints)
    manifests = json.loads(
        json.dumps(model_server(version, image, claim, nodes))
    )  # no object twice: YAML without aliases
    typer.echo(yaml.safe_dump_all(manifests, sort_keys=False), nl=False)
