"""A Slurm cluster of the hosts of a lab: the first one is the controller, and all are nodes."""

from __future__ import annotations

import base64
import os
import time

from tests.lab import engine, hosts
from tests.lab.errors import LabError
from tests.lab.spec import Lab

CARDS = 2
"""Number of stand-in cards of each host. Slurm needs a device file for each."""
CONFIGURATION = """
ClusterName=lab
SlurmctldHost={leader}
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
ReturnToService=2
MinJobAge=300
GresTypes=gpu
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=NO
"""
DEVICES = "AutoDetect=off\nName=gpu File=/dev/fakegpu[0-{last}]\n"
CGROUP = "CgroupPlugin=cgroup/v1\n"
START = """
for n in $(seq 0 {last}); do ln -sf /dev/null /dev/fakegpu$n; done
mkdir -p /var/spool/slurmctld /var/spool/slurmd
chown munge:munge /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
systemctl start munge
{daemons}
"""


def start(lab: Lab) -> None:
    """Start the cluster and wait until every node is idle. Raises LabError with Slurm's output after 180 seconds."""
    leader = lab.containers[0]
    addresses = {name: hosts.address_of(name) for name in lab.containers}
    cores = max(1, os.cpu_count() or 1)
    nodes = "\n".join(
        f"NodeName={name} NodeAddr={address} CPUs={cores} Gres=gpu:{CARDS} State=UNKNOWN"
        for name, address in addresses.items()
    )
    key = base64.b64encode(os.urandom(128)).decode("ascii")
    names = "".join(f"{address} {name}\n" for name, address in addresses.items())
    for name in lab.containers:
        _write(
            name, "/etc/slurm/slurm.conf", CONFIGURATION.format(leader=f"{leader}({addresses[leader]})", nodes=nodes)
        )
        _write(name, "/etc/slurm/gres.conf", DEVICES.format(last=CARDS - 1))
        _write(name, "/etc/slurm/cgroup.conf", CGROUP)
        _write(name, "/etc/munge/munge.key", key)
        engine.docker("exec", "--interactive", name, "sh", "-c", "cat >> /etc/hosts", stdin=names)
        daemons = "systemctl start slurmctld\n" * (name == leader) + "systemctl start slurmd"
        engine.docker("exec", name, "sh", "-euc", START.format(last=CARDS - 1, daemons=daemons))
    deadline = time.monotonic() + 180
    while set(states := engine.docker("exec", leader, "sinfo", "--noheader", "--format=%T").split()) != {"idle"}:
        if time.monotonic() > deadline:
            raise LabError(
                f"Slurm's nodes are not idle: {states}\n" + engine.docker("exec", leader, "sinfo", "--list-reasons")
            )
        time.sleep(0.5)


def output(host: str, *argv: str) -> str:
    """The output of a program of Slurm on this host."""
    return engine.docker("exec", host, *argv).strip()


def node(host: str, name: str) -> str:
    """The state and the reason of a node, as Slurm prints them: `State=IDLE+DRAIN Reason=...`."""
    lines = [line.strip() for line in output(host, "scontrol", "show", "node", name).splitlines()]
    state = next(line.split()[0] for line in lines if line.startswith("State="))
    return " ".join([state, *(line for line in lines if line.startswith("Reason="))])


def submit(host: str, name: str, script: str) -> str:
    """A job for this node alone; its number."""
    chosen = ("--parsable", "--exclusive", "--chdir=/tmp", "--output=/dev/null", f"--nodelist={name}")
    return output(host, "sbatch", *chosen, "--wrap", script).split(";")[0]


def state(host: str, job: str) -> str:
    """The state of a job, for example PENDING or COMPLETED."""
    return output(host, "squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")


def _write(name: str, path: str, text: str) -> None:
    engine.docker("exec", "--interactive", name, "sh", "-c", f"mkdir -p $(dirname {path}) && cat > {path}", stdin=text)
