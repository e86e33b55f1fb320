"""What a command reads: the lake, the state database and the model lines of this installation."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ft_assets.settings import Settings, read_settings

if TYPE_CHECKING:
    from ft_assets.lake import Lake
    from ft_assets.specializations.specialization import Specialization
    from ft_assets.state import State


class Stores:
    """Opened on first use, from the same environment variables as everything else."""

    @cached_property
    def settings(self) -> Settings:
        """Where things are."""
        return read_settings()

    @cached_property
    def lake(self) -> "Lake":
        """Tables and artifacts."""
        from ft_assets.lake import Lake

        return Lake(self.settings.lake_url, self.settings.cache_dir)

    @cached_property
    def state(self) -> "State":
        """Registry, history, approvals."""
        from ft_assets.state import State

        return State(self.settings.state_url)

    @cached_property
    def lines(self) -> "Mapping[str, Specialization]":
        """The model lines by name."""
        from ft_assets.specializations.loader import load_specializations

        return load_specializations(self.settings.specializations_dir, self.settings.project_root)
