"""`ft-assets multi-node`: the manifest of a training on several nodes, for `kubectl apply -f -`."""

from typing import Annotated

import typer

from ft_assets.command_line.arguments import Line

Nodes = Annotated[int, typer.Option("--nodes", help="Pods, each with the line's compute.gpus.", show_default=False)]
Image = Annotated[str, typer.Option("--image", help="Image of this project with CUDA.", show_default=False)]
Claim = Annotated[str, typer.Option("--claim", help="Claim that all nodes can mount (ReadWriteMany).")]
Data = Annotated[str, typer.Option("--data", help="File of examples in the claim.", show_default=False)]
Base = Annotated[str, typer.Option("--base", help="Directory of the base model in the claim.", show_default=False)]
Out = Annotated[str, typer.Option("--out", help="Directory for the adapter in the claim.", show_default=False)]
Task = Annotated[str, typer.Option("--task", help="Task of the examples.", show_default=False)]


def multi_node(
    line: Line, nodes: Nodes, image: Image, data: Data, base: Base, out: Out, task: Task, claim: Claim = "training"
) -> None:
    """Prints a JobSet that trains a line's adapter on several nodes with GPUs."""
    import yaml

    from ft_assets.cluster.multi_node import SharedTraining, job_set
    from ft_assets.cluster.pod_config import GpuNodes
    from ft_assets.errors import BadConfiguration
    from ft_assets.settings import read_settings
    from ft_assets.specializations.loader import load_specializations

    settings = read_settings()
    lines = load_specializations(settings.specializations_dir, settings.project_root)
    if line not in lines:
        raise BadConfiguration(f"{line} is no specialization. There are {', '.join(sorted(lines))}.")
    manifest = job_set(
        line,
        lines[line].compute,
        nodes,
        image,
        SharedTraining(claim, data, base, out, task),
        GpuNodes(settings.gpu_node_selector, settings.gpu_taints),
    )
    typer.echo(yaml.safe_dump(manifest, sort_keys=False), nl=False)
