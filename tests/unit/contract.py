"""What modules really return is what the controller reads: in every unit test that runs one, by its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuraltalk_provision.results import base
from neuraltalk_provision.results.base import Result
from neuraltalk_provision.results.cache import GenerationPackResult, InstalledFilesResult, RuntimeLibrariesResult
from neuraltalk_provision.results.checks import CudnnSwapResult, StackVerifyResult
from neuraltalk_provision.results.generations import PrunedResult
from neuraltalk_provision.results.host_state import StackStateResult
from neuraltalk_provision.results.host_use import ChangedNodes, HostUseResult, SlurmNodes
from neuraltalk_provision.results.network import NetworkResult
from neuraltalk_provision.results.one_run import (
    ChangedResult,
    FilesOfRun,
    FollowedRun,
    OneRunResult,
    ProbedRun,
    ScoredRun,
    StartedRun,
    SubmittedRun,
)
from neuraltalk_provision.results.packages import PackagesInfoResult
from neuraltalk_provision.results.pushed import PushedFileInfoResult, PushedFileResult
from neuraltalk_provision.results.run import RunDetailsResult, RunsResult

RESULTS: Mapping[str, type[Result]] = {
    "generation_pack": GenerationPackResult,
    "installed_files_info": InstalledFilesResult,
    "runtime_libraries_info": RuntimeLibrariesResult,
    "stack_state": StackStateResult,
    "cudnn_swap": CudnnSwapResult,
    "stack_verify": StackVerifyResult,
    "os_packages_info": PackagesInfoResult,
    "isolated_network": NetworkResult,
    "host_use_info": HostUseResult,
    "slurm_node_info": SlurmNodes,
    "slurm_node": ChangedNodes,
    "pushed_file_info": PushedFileInfoResult,
    "pushed_file": PushedFileResult,
}
RUNS: Mapping[str, type[Result]] = {
    "started": OneRunResult[StartedRun],
    "submitted": OneRunResult[SubmittedRun],
    "followed": OneRunResult[FollowedRun],
    "stopped": ChangedResult,
    "cancelled": ChangedResult,
    "probed": OneRunResult[ProbedRun],
    "read": OneRunResult[FilesOfRun],
    "scored": OneRunResult[ScoredRun],
}


def shape_of(module: str, given: Mapping[str, Any]) -> type[Result] | None:
    """The type of a module's result; None for one that the controller does not read."""
    if module == "stack_generation":
        return PrunedResult if given.get("state") == "pruned" else None
    if module not in ("stack_run", "stack_run_info"):
        return RESULTS.get(module)
    if given["state"] == "listed":
        return RunDetailsResult if given.get("ids") else RunsResult
    return RUNS[given["state"]]


def check(module: str, given: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """AssertionError with the field where the controller would refuse the result."""
    shape = shape_of(module, given)
    if shape is not None:
        found = base.read(shape, result)
        assert not isinstance(found, str), f"{module} {given.get('state', '')}: {found}"
