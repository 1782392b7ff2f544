"""A Slurm of this machine: one slurmctld and a slurmd per node, without munge, control groups or accounting.

`python tests/pipeline/run/cluster.py FOLDER` starts one and stays until it is interrupted; its commands (sinfo, sbatch)
find it by the SLURM_CONF that is printed. Debian: apt-get install slurmctld slurmd slurm-client.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path

DAEMONS = ("slurmctld", "slurmd", "sbatch")
CONF = """\
ClusterName=gristmill
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1,defer_batch=no
MaxArraySize={max_array}
MinJobAge=300
KillWait=2
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
PartitionName=whole Nodes=ALL MaxTime=INFINITE State=UP OverSubscribe=EXCLUSIVE
"""


def installed() -> bool:
    return all(shutil.which(name) or Path("/usr/sbin", name).exists() for name in DAEMONS)


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


@contextmanager
def slurm(folder: Path, nodes: int = 2, max_array: int = 1001) -> Iterator[Path]:
    """The cluster's slurm.conf, for SLURM_CONF; all of its processes end with the block. Of its partitions, cpu packs
    tasks onto one node, and whole gives each task a node of its own."""
    (folder / "state").mkdir(parents=True)
    control, *ports = free_ports(nodes + 1)
    host, cores = socket.gethostname(), os.cpu_count()
    lines = [
        f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory=16000 State=UNKNOWN"
        for i, port in enumerate(ports)
    ]
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(
            host=host, control=control, user=getuser(), folder=folder, max_array=max_array, nodes="\n".join(lines)
        )
    )
    environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    names = [f"n{i}" for i in range(nodes)]
    commands = [["slurmctld", "-D", "-c"], *(["slurmd", "-D", "-N", name] for name in names)]
    daemons = []
    try:
        for command in commands:
            with (folder / f"{command[0]}-{command[-1].strip('-')}.out").open("w") as log:
                daemons.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
        until = time.monotonic() + 60
        while said_idle(environment) < nodes:
            if time.monotonic() > until or any(d.poll() is not None for d in daemons):
                logs = "\n".join(p.read_text()[-2000:] for p in [*folder.glob("*.log"), *folder.glob("*.out")])
                raise RuntimeError(f"the cluster does not come up\n{logs}")
            time.sleep(0.1)
        yield conf
    finally:
        if daemons and daemons[0].poll() is None:
            subprocess.run(["scancel", f"--user={getuser()}"], env=environment, check=False, timeout=30)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)


def said_idle(environment: dict[str, str]) -> int:
    asked = subprocess.run(
        ["sinfo", "-h", "-N", "-o", "%t"], env=environment, capture_output=True, text=True, check=False
    )
    return asked.stdout.split().count("idle")


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="slurm-")).absolute()
    with slurm(place, nodes=3) as made:
        print(f"export SLURM_CONF={made}", flush=True)
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)
