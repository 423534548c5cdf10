"""Where the runs go: Dask's own clusters, each worker with one notebook at a time. No scheduling of ours."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medsynth_lib.errors import InputError, MedSynthError

if TYPE_CHECKING:
    from distributed import Client

KINDS = ("local", "slurm", "kubernetes")
#: An address given by hand must be there; a queue may let its jobs wait all night.
CONNECT_S = 60


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster: ``scheduler`` (an address) where it is given, else ``kind``.

    Args:
        jobs: workers, each with one notebook at a time.
        gpus: how many of them have a GPU.
        options: YAML: the arguments of ``dask_jobqueue.SLURMCluster``, or a DaskCluster manifest for Kubernetes.
        retries: how often a run is tried again after its worker died, its kernel did not start or the disk failed.
    """

    kind: str = "local"
    jobs: int = 2
    gpus: int = 0
    options: Path | None = None
    scheduler: str = ""
    retries: int = 2

    def __post_init__(self):
        if self.kind not in KINDS:
            raise MedSynthError(f"unknown cluster {self.kind!r}", rule=f"one of {', '.join(KINDS)}")
        if not 0 <= self.gpus <= self.jobs or self.jobs < 1:
            seen = f"{self.jobs} jobs, {self.gpus} GPUs"
            raise MedSynthError("impossible cluster", rule="at least one job, at most one GPU a job", seen=seen)
        if self.kind != "local" and not (self.scheduler or self.options):
            file = f"docs/cluster/{self.kind}.yaml"
            raise MedSynthError(f"{self.kind} needs its options", fix=f"--cluster-options FILE; begin with {file}")


@dataclass(frozen=True)
class Connection:
    """``keep_size`` asks Dask to replace lost workers; ``is_ours``: nobody else's work runs there."""

    client: Client
    keep_size: Callable[[], None]
    is_ours: bool


@contextlib.contextmanager
def connect(options: ClusterOptions) -> Iterator[Connection]:
    """A client of the cluster, which is started here and ends here unless ``options.scheduler`` names another's.

    Raises:
        MedSynthError: a package or file is missing, nobody answers, or the workers run another version.
    """
    dask = _dask()
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # lost workers are in our table
    with dask.config.set({"distributed.scheduler.allowed-failures": options.retries}), contextlib.ExitStack() as stack:
        if options.scheduler:
            target, keep_size = options.scheduler, lambda: None
        else:
            target = stack.enter_context(_CLUSTERS[options.kind](options))
            keep_size = lambda: target.scale(options.jobs)  # noqa: E731
        try:
            client = stack.enter_context(Client(target, timeout=CONNECT_S, set_as_default=False))
            if options.scheduler:
                client.get_versions(check=True)
        except (OSError, TimeoutError, ValueError) as error:
            raise _no_answer(options, error) from error
        _check_gpus(client, options)
        keep_size()
        yield Connection(client, keep_size, not options.scheduler)


def _dask() -> Any:
    try:
        import dask
        import distributed  # noqa: F401
    except ImportError as error:
        raise MedSynthError("Dask is not installed", fix="pip install 'medsynth[batch]'") from error
    return dask


def _local(options: ClusterOptions) -> Any:
    """Worker processes on this machine; a GPU belongs to one of them. A worker that dies is started again."""
    from distributed import Nanny, Scheduler, SpecCluster

    def worker(index: int) -> dict[str, Any]:
        has_gpu = index < options.gpus
        how: dict[str, Any] = {"nthreads": 1, "memory_limit": None, "resources": {"GPU": 1} if has_gpu else {}}
        how["env"] = {
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"
        }  # a hundred looks a second at a waiting thread
        how["env"] |= {"CUDA_VISIBLE_DEVICES": str(index)} if has_gpu else {}
        return {"cls": Nanny, "options": {**how, "dashboard": False, "silence_logs": logging.CRITICAL}}

    local = {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    workers = {index: worker(index) for index in range(options.jobs)}
    return SpecCluster(workers, scheduler={"cls": Scheduler, "options": local}, name="medsynth-batch", silence_logs=50)


def _slurm(options: ClusterOptions) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise MedSynthError("dask-jobqueue is not installed", fix="pip install 'medsynth[batch]'") from error
    return _built(SLURMCluster, slurm_arguments(options), options)


def slurm_arguments(options: ClusterOptions) -> dict[str, Any]:
    """The arguments of ``SLURMCluster``: the file's, with one worker and one notebook to a job, and its GPU."""
    given = _read_yaml(options.options)
    given["scheduler_options"] = {"dashboard_address": ":0", **given.get("scheduler_options", {})}  # any free port
    if wrong := {"cores", "processes"} & set(given):
        rule = "one notebook at a time to a job; its CPU cores are job_cpu"
        raise InputError(f"{' and '.join(sorted(wrong))} in the options", where=options.options, rule=rule)
    ours: dict[str, Any] = {"cores": 1, "processes": 1}
    if options.gpus:
        if options.gpus != options.jobs:
            raise MedSynthError("on Slurm every job has a GPU or none has", fix="two batches, or --gpus as --jobs")
        ours["worker_extra_args"] = [*given.get("worker_extra_args", []), "--resources", "GPU=1"]
        ours["job_extra_directives"] = [*given.get("job_extra_directives", []), "--gres=gpu:1"]
    return {**given, **ours}


def _kubernetes(options: ClusterOptions) -> Any:
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError as error:
        raise MedSynthError("dask-kubernetes is not installed", fix="pip install 'medsynth[kubernetes]'") from error
    return _built(KubeCluster, {"custom_cluster_spec": _read_yaml(options.options)}, options)


def _built(cluster: Any, arguments: dict[str, Any], options: ClusterOptions) -> Any:
    try:
        return cluster(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError("options that the cluster does not take", where=options.options, seen=error) from error


def _read_yaml(path: Path | None) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(Path(path or "").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("cluster options that cannot be read", where=path, seen=error) from error
    if not isinstance(content, dict):
        raise InputError("cluster options that are no mapping", where=path, rule="key: value", seen=repr(content)[:80])
    return content


def _no_answer(options: ClusterOptions, error: Exception) -> MedSynthError:
    where = options.scheduler or options.kind
    fix = "the scheduler's address is printed by `dask scheduler`; all run the same versions of Python and packages"
    return MedSynthError("no Dask scheduler answers", where=where, seen=" ".join(str(error).split())[:200], fix=fix)


def _check_gpus(client: Client, options: ClusterOptions) -> None:
    """Dask would wait for ever for a GPU that nobody offers; a cluster of our own we know without asking."""
    if options.gpus and options.scheduler:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if not any(worker.get("resources", {}).get("GPU") for worker in workers):
            fix = "start them with: dask worker ADDRESS --nthreads 1 --resources GPU=1"
            raise MedSynthError("no worker offers a GPU", where=options.scheduler, fix=fix)


_CLUSTERS = {"local": _local, "slurm": _slurm, "kubernetes": _kubernetes}
