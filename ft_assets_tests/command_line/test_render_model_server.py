import pytest
import typer
import yaml
from typer.testing import CliRunner

from ft_assets.command_line.app import Commands
from ft_assets.command_line.render_model_server import render_model_server
from ft_assets.state_registry import registrations
from ft_assets_tests.command_line.installation import LINE, Installation
from ft_assets_tests.kubernetes.manifest_files import validate

pytestmark = pytest.mark.slow
IMAGE = "registry.example.com/model-server:1.4.0"
app = typer.Typer(cls=Commands)
app.callback()(lambda: None)
app.command()(render_model_server)


def test_the_champions_manifests_are_printed_for_kubectl(installation: Installation) -> None:
    done = CliRunner().invoke(app, ["render-model-server", f"{LINE}@champion", "--image", IMAGE])
    assert done.exit_code == 0, done.output
    deployment, budget = yaml.safe_load_all(done.stdout)
    for manifest in (deployment, budget):
        validate(manifest)
    champion = registrations(installation.state, LINE)[-1]
    assert deployment["metadata"]["name"] == f"model-ea-{LINE}-v1"
    assert deployment["metadata"]["annotations"]["ft-assets/model-digest"] == champion.model_digest
    mounts = deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    place = installation.lake.artifact("adapter", champion.model_digest).path
    assert str(place).endswith(mounts[0]["subPath"]), "the path below the lake is where the adapter lies"
    assert "&id" not in done.stdout


def test_a_model_that_was_never_registered_or_is_unknown_is_refused(installation: Installation) -> None:
    adapter = installation.train(LINE, "never registered")
    arguments = ["render-model-server", adapter.digest[:16], "--image", IMAGE]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "was trained and never registered" in done.stderr
    done = CliRunner().invoke(app, ["render-model-server", "nobody@champion", "--image", IMAGE])
    assert done.exit_code == 2
