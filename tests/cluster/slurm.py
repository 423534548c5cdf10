"""A real Slurm on this one machine: munge, slurmctld and slurmd with a private configuration, on the loopback device.

As root, on Debian after ``apt install slurm-wlm munge``::

    python -m tests.cluster.slurm FOLDER                # start it, wait until a job runs; ends with Ctrl-C or `stop`
    python -m tests.cluster.slurm FOLDER --stop

Everything lies in FOLDER. ``SLURM_CONF=FOLDER/slurm.conf`` points sbatch, squeue and scancel at it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

#: Any ports that nobody uses.
CONTROLLER_PORT, NODE_PORT = 26817, 26818
CONF = """
ClusterName=medsynth
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=short Nodes=localhost Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def is_installed() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, ("munged", "slurmctld", "slurmd", "sbatch")))


def start(folder: Path, memory_mib: int = 4000) -> Path:
    """Start it and wait until a first job has run; returns the configuration's path."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    conf = folder / "slurm.conf"
    ports = {"controller_port": CONTROLLER_PORT, "node_port": NODE_PORT}
    conf.write_text(CONF.format(folder=folder, cpus=os.cpu_count(), memory=memory_mib, **ports))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    socket = ["--socket", f"{folder}/munge.socket", "--key-file", str(key), "--log-file", f"{folder}/munged.log"]
    places = ["--pid-file", f"{folder}/munged.pid", "--seed-file", f"{folder}/munged.seed"]
    subprocess.run(["munged", "--force", *socket, *places], check=True, timeout=60)
    env = {**os.environ, "SLURM_CONF": str(conf)}
    subprocess.run(["slurmctld", "-c", "-f", str(conf)], check=True, env=env, timeout=60)
    subprocess.run(["slurmd", "-c", "-N", "localhost", "-f", str(conf)], check=True, env=env, timeout=60)
    deadline = time.monotonic() + 60
    while subprocess.run(["srun", "-t", "1", "true"], env=env, capture_output=True, timeout=90).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Slurm runs no job; see {folder}/slurmctld.log and slurmd.log")
        time.sleep(1)
    return conf


def stop(folder: Path) -> None:
    """Cancel all jobs, and end the three daemons that were started in ``folder``."""
    env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run(["scancel", "--partition", "short"], env=env, capture_output=True, timeout=60)
    time.sleep(5)  # the daemon must still be there when a job's last process goes
    for name in ("slurmd", "slurmctld", "munged"):
        pid = folder / f"{name}.pid"
        if pid.exists():
            try:
                os.kill(int(pid.read_text()), signal.SIGTERM)
            except ProcessLookupError:
                continue


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stop", action="store_true")
    arguments = parser.parse_args()
    if arguments.stop:
        stop(arguments.folder.absolute())
    else:
        print(f"export SLURM_CONF={start(arguments.folder.absolute())}")
