"""Which cluster: what is refused, what Slurm and Kubernetes are told, and the files in docs/cluster."""

from pathlib import Path

import pytest
import yaml

from medsynth_lib.course.batch.cluster import ClusterOptions, connect, slurm_arguments
from medsynth_lib.course.batch.plan import load_plan
from medsynth_lib.errors import MedSynthError

EXAMPLES = Path(__file__).parents[3] / "docs" / "cluster"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "cloud"}, "unknown cluster"),
        ({"jobs": 0}, "impossible cluster"),
        ({"jobs": 1, "gpus": 2}, "impossible cluster"),
        ({"kind": "slurm"}, "docs/cluster/slurm.yaml"),
        ({"kind": "kubernetes"}, "docs/cluster/kubernetes.yaml"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(MedSynthError, match=words):
        ClusterOptions(**options)


def test_nobody_at_the_address_is_one_message(monkeypatch):
    monkeypatch.setattr("medsynth_lib.course.batch.cluster.CONNECT_S", 0.5)
    with (
        pytest.raises(MedSynthError, match="no Dask scheduler answers"),
        connect(ClusterOptions(scheduler="tcp://127.0.0.1:9")),
    ):
        pass


def test_slurm_file_becomes_a_job_script_with_one_notebook_a_job():
    jobqueue = pytest.importorskip("dask_jobqueue")
    arguments = slurm_arguments(ClusterOptions("slurm", jobs=2, gpus=2, options=EXAMPLES / "slurm.yaml"))
    arguments.pop("scheduler_options")
    job = jobqueue.slurm.SLURMJob(scheduler="tcp://127.0.0.1:1", name="0", **arguments)
    script = job.job_script()
    for line in ("#SBATCH -p short", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=8G", "#SBATCH --gres=gpu:1"):
        assert line in script
    assert "--nthreads 1" in script
    assert "--resources GPU=1" in script


@pytest.mark.parametrize("text", ["cores: 4", "[1]", "a: [", "processes: 2\ncores: 1"])
def test_wrong_slurm_file_is_named(tmp_path, text):
    (tmp_path / "slurm.yaml").write_text(text)
    with pytest.raises(MedSynthError, match=r"slurm\.yaml"):
        slurm_arguments(ClusterOptions("slurm", options=tmp_path / "slurm.yaml"))


def test_kubernetes_file_has_one_notebook_a_pod_and_room_for_it():
    manifest = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    (worker,) = manifest["spec"]["worker"]["spec"]["containers"]
    assert worker["args"][worker["args"].index("--nthreads") + 1] == "1"
    assert worker["resources"]["requests"] == worker["resources"]["limits"]
    assert all(isinstance(word, str) for word in worker["args"])  # Kubernetes takes no numbers there
    mounts = {mount["name"] for mount in worker["volumeMounts"]}
    assert mounts == {volume["name"] for volume in manifest["spec"]["worker"]["spec"]["volumes"]}


def unknown_fields(value: object, schema: dict, at: str = "") -> list[str]:
    """Fields that the schema does not have: jsonschema lets them pass, and Kubernetes drops them without a word."""
    if isinstance(value, list):
        return [one for item in value for one in unknown_fields(item, schema.get("items", {}), f"{at}[]")]
    if not isinstance(value, dict) or "additionalProperties" in schema or "properties" not in schema:
        return []
    known = schema["properties"]
    wrong = [f"{at}.{key}" for key in value if key not in known and at]  # apiVersion, kind, metadata are implied at top
    return wrong + [
        one for key in value if key in known for one in unknown_fields(value[key], known[key], f"{at}.{key}")
    ]


def test_kubernetes_file_keeps_the_operators_schema():
    dask_kubernetes = pytest.importorskip("dask_kubernetes", reason="the extra kubernetes is not installed")
    import jsonschema

    chart = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator"
    definition = yaml.safe_load((chart / "crds" / "daskcluster.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    manifest = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())
    assert manifest["apiVersion"] == f"{definition['spec']['group']}/{definition['spec']['versions'][0]['name']}"
    jsonschema.validate(manifest, schema)
    assert unknown_fields(manifest, schema) == []
    container = manifest["spec"]["worker"]["spec"]["containers"][0]
    container["volumeMount"] = container.pop("volumeMounts")  # a slip that must be seen
    assert unknown_fields(manifest, schema) == [".spec.worker.spec.containers[].volumeMount"]


def test_example_plan_loads():
    runs = load_plan(EXAMPLES / "plan.yaml")
    assert [run.name for run in runs if run.name.startswith("pix2pix")] == [
        f"pix2pix-SEED={seed}" for seed in (0, 1, 2)
    ]
    assert all(run.parameters["PROFILE"] in ("smoke", "lesson") for run in runs)
