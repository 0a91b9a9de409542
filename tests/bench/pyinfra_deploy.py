"""What pyinfra runs in `python -m tests.bench`: 38 operations that describe a host that was built.

On such a host they change nothing. They cover what the roles put there: OS packages, the account, directories, the
link, and the file of each component.
"""

from __future__ import annotations

from pyinfra import host  # type: ignore[import-not-found]
from pyinfra.operations import apt, files, server  # type: ignore[import-not-found]

ROOT = "/opt/neuraltalk"
COMPONENTS = (
    *("cjson", "coco-caption", "hdf5", "image", "loadcaffe", "neuraltalk2", "nn", "nngraph", "python", "torch"),
    *("totem", "vgg16"),
)
generation = f"{ROOT}/generations/{host.data.generation}"

apt.packages(name="OS packages", packages=list(host.data.packages), update=False)
server.user(name="Account", user="neuraltalk", ensure_home=False)
for path in ("", "/artifacts", "/build", "/generations", "/logs"):
    files.directory(name=f"Directory {path}", path=f"{ROOT}{path}", mode="755")
for path in ("/runs", "/queue"):
    files.directory(name=f"Directory {path}", path=f"{ROOT}{path}", mode="1770", group="neuraltalk")
for path in ("", "/bin", "/coco-caption", "/etc", "/logs", "/neuraltalk2", "/python", "/stamps", "/torch"):
    files.directory(name=f"Directory of the generation {path}", path=f"{generation}{path}", mode="755")
files.link(name="Current generation", path=f"{ROOT}/current", target=f"generations/{host.data.generation}")
for component in COMPONENTS:
    files.file(name=f"Stamp of {component}", path=f"{generation}/stamps/{component}.json", mode="644")
for path in ("account.json", "history.json"):
    files.file(name=path, path=f"{ROOT}/{path}", mode="644")
for path in ("environment", "generation.json", "manifest"):
    files.file(name=path, path=f"{generation}/{path}", mode="644")
files.file(name="Program that starts others", path=f"{generation}/bin/with-stack", mode="755")
files.file(name="Program of the return", path=f"{ROOT}/activation.zip", mode="600")
