"""Chooses packages by the Python interface of dnf 4. A program for the Python that dnf itself uses, 3.6 or later.

    python3 -I dnf_program.py REQUEST

REQUEST is a JSON file that mirror/dnf.py writes; the answer is one JSON object on stdout. Nothing of this machine's own
dnf is read or written: all directories are those of the request, and no configuration file is read, except that the
machine's own repositories are read if the request has none.
"""

import json
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

MOST_PACKAGES = 20000
LARGEST_FILE = 2 << 30
SECONDS = 1800
REASON = 1500
LONGEST = 4000


class RefusalError(Exception):
    """`kind` says what failed; `repository` is its id, if it was one."""

    def __init__(self, kind: str, text: str, repository: str = "") -> None:
        super().__init__(text)
        self.kind, self.repository = kind, repository


class Said(logging.Handler):
    """The last warnings of dnf: what failed at each address is only in these."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self.text = (self.text + record.getMessage() + "\n")[-REASON:]

    def take(self) -> str:
        """The warnings since the last call."""
        text, self.text = self.text, ""
        return text


SAID = Said(logging.WARNING)


def limit(memory: int) -> None:
    """Bounds for hostile indexes: memory, the size of each file that is written, and time of the processor."""
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_FSIZE: LARGEST_FILE, resource.RLIMIT_CPU: SECONDS}
    for what, most in {**limits, resource.RLIMIT_CORE: 0}.items():
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def base_of(request: Any) -> Any:
    """A dnf.Base without repositories, whose directories are all below the request's `work`."""
    import dnf
    import dnf.conf
    import dnf.yum.misc

    work = Path(request["work"])
    logging.getLogger("dnf").addHandler(SAID)
    dnf.yum.misc.getCacheDir = lambda: str(work)  # it would make a directory in /var/tmp
    conf = dnf.conf.Conf()
    for name in ("installroot", "cachedir", "persistdir", "logdir", "system_cachedir"):
        folder = work / ("cachedir" if "cache" in name else name)
        folder.mkdir(parents=True, exist_ok=True)
        setattr(conf, name, str(folder))
    conf.pluginpath, conf.pluginconfpath, conf.plugins = [], [], False
    conf.protected_packages, conf.check_config_file_age = [], False
    conf.sslcacert = os.environ.get("CURL_CA_BUNDLE", "")  # as the program curl does
    conf.substitutions["releasever"] = request["release"]
    conf.arch = request["machine"]
    conf.ignorearch = conf.install_weak_deps = False
    conf.best, conf.assumeyes, conf.deltarpm, conf.zchunk = True, True, False, False
    conf.gpgcheck = conf.repo_gpgcheck = conf.localpkg_gpgcheck = False
    conf.module_platform_id = request["module_platform"]
    conf.retries, conf.timeout, conf.diskspacecheck = 3, 30, False
    conf.reposdir = request.get("machine_repositories", [])
    if conf.reposdir:
        conf.substitutions.update_from_etc("/", conf.varsdir)
    else:
        conf.varsdir = []
    return dnf.Base(conf)


def add_repository(base: Any, asked: Any) -> Any:
    """Load the index of a repository from the first of its addresses that has one, checked if it is signed."""
    import dnf.exceptions
    import dnf.repo

    failures = []
    for address in asked["addresses"]:
        address = address.rstrip("/") + "/"
        signed = bool(asked["keys"]) and is_signed(base, address)
        if asked["index_signed"] and not signed:
            failures.append(f"{address}: its index is not signed: there is no repodata/repomd.xml.asc")
            continue
        repo = dnf.repo.Repo(asked["id"], base.conf)
        repo.baseurl = [address]
        repo.skip_if_unavailable = False
        repo.gpgcheck, repo.repo_gpgcheck, repo.gpgkey = False, signed, asked["keys"]
        repo._repo.expire()
        try:
            repo.load()
        except dnf.exceptions.RepoError as error:
            failures.append(f"{address}: {str(error)[:REASON]}\n{SAID.take()}")
            continue
        base.repos.add(repo)
        return used(repo, address, asked["gpgcheck"], asked["keys"])
    raise RefusalError("repository", "\n".join(failures)[:LONGEST], asked["id"])


def used(repo: Any, address: str, gpgcheck: bool, keys: Any) -> Any:
    """A repository for the answer."""
    signed = bool(repo.repo_gpgcheck)
    return {"id": repo.id, "address": address, "signed": signed, "gpgcheck": gpgcheck, "keys": keys}


def is_signed(base: Any, address: str) -> bool:
    """Whether the repository has a signature of its index; also False if that cannot be asked."""
    try:
        base.urlopen(address + "repodata/repomd.xml.asc").close()
    except OSError:
        return False
    return True


def own_repositories(base: Any) -> Any:
    """The enabled repositories of this machine, loaded."""
    import dnf.exceptions

    base.read_all_repos()
    found = []
    for repo in base.repos.iter_enabled():
        repo.skip_if_unavailable = False
        try:
            repo.load()
        except dnf.exceptions.RepoError as error:
            raise RefusalError("repository", f"{str(error)[:REASON]}\n{SAID.take()}", repo.id) from None
        places = [place for place in list(repo._repo.getMirrors()) or list(repo.baseurl) if "://" in place]
        if not places:
            raise RefusalError("repository", "it has no address", repo.id)
        found.append(used(repo, places[0].rstrip("/") + "/", bool(repo.gpgcheck), list(repo.gpgkey)))
    if not found:
        raise RefusalError("repository", "this machine has no enabled repository of dnf")
    return found


class Solver:
    """Installs names into an empty system, on paper."""

    def __init__(self, base: Any, machine: str) -> None:
        import dnf.goal
        import hawkey

        self.sack, self.machines = base.sack, [machine, "noarch"]
        self._goal, self._selector = dnf.goal.Goal, hawkey.Selector

    def query(self, **how: str) -> Any:
        """The packages of the repositories for this machine type."""
        return self.sack.query().available().filter(arch=self.machines, **how)

    def missing(self, request: Any) -> Any:
        """The required names that no repository has."""
        found = [name for name in request["required"] if not self.query(name=name)]
        return found + [name for name in request["provided"] if not self.query(provides=name)]

    def solve(self, required: Any, optional: Any, provided: Any) -> Any:
        """(packages, problem): what the names need, or why that is impossible."""
        goal = self._goal(self.sack)
        wanted = [(self.query(name=name), name in optional) for name in [*required, *optional]]
        for query, is_optional in [*wanted, *((self.query(provides=name), False) for name in provided)]:
            selector = self._selector(self.sack)
            selector.set(pkg=query)
            goal.install(select=selector, optional=is_optional)
        if goal.run(force_best=True, ignore_weak_deps=True):
            return list(goal.list_installs()), ""
        lines = [line for group in goal.problem_rules() for line in group]
        return [], "\n".join(dict.fromkeys(lines))[:REASON] or "dnf gives no reason"


def resolve(base: Any, request: Any) -> Any:
    """The closure of the names of the request, and what is missing."""
    import dnf.exceptions

    if request.get("machine_repositories"):
        repositories = own_repositories(base)
    else:
        repositories = [add_repository(base, asked) for asked in request["repositories"]]
    try:
        base.fill_sack(load_system_repo=False, load_available_repos=True)
    except dnf.exceptions.RepoError as error:
        failed = [one["id"] for one in repositories if one["id"] in str(error)]
        raise RefusalError("repository", str(error)[:REASON], "".join(failed[:1])) from None
    solver = Solver(base, request["machine"])
    missing = solver.missing(request)
    left_out = {name: "no repository has it" for name in request["optional"] if not solver.query(name=name)}
    answer = {"repositories": repositories, "missing": missing, "left_out": left_out, "packages": []}
    if missing:
        return answer
    optional = [name for name in request["optional"] if name not in left_out]
    provided = request["provided"]
    packages, problem = solver.solve(request["required"], [*optional, *base_names(base, request["base"])], provided)
    if problem:
        raise RefusalError("solve", problem)
    for name in set(optional) - {package.name for package in packages}:
        why = solver.solve([*request["required"], name], (), provided)[1]
        left_out[name] = "it cannot be installed: " + (why or "it conflicts with other optional packages")
    if len(packages) > MOST_PACKAGES:
        raise RefusalError("solve", f"it needs more than {MOST_PACKAGES} packages")
    numbers = {one["id"]: number for number, one in enumerate(repositories)}
    answer["packages"] = [described(package, numbers) for package in packages]
    return answer


def base_names(base: Any, wanted: Any) -> Any:
    """The names of the packages that systems have already."""
    groups = [group for group in base.read_comps().groups_iter() if group.id in wanted["groups"]]
    return wanted["names"] + [package.name for group in groups for package in group.mandatory_packages]


def described(package: Any, numbers: Any) -> Any:
    """A package as the repository's index describes it."""
    checksum = package.returnIdSum() or ("", "")
    return {
        "name": package.name,
        "epoch": package.epoch,
        "version": package.version,
        "release": package.release,
        "machine": package.arch,
        "repository": numbers[package.reponame],
        "location": package.location or "",
        "base": package.baseurl or "",
        "checksum_type": checksum[0],
        "checksum": checksum[1],
        "size": package.downloadsize,
    }


def attempt(base: Any, request: Any) -> Any:
    """Install the names into an empty system from the repository in `directory` alone, without writing any file."""
    import dnf.exceptions
    import dnf.repo

    repo = dnf.repo.Repo("made", base.conf)
    repo.baseurl = [request["directory"]]
    repo.skip_if_unavailable, repo.module_hotfixes = False, True
    base.repos.add(repo)
    base.conf.tsflags = ["test"]
    base.fill_sack(load_system_repo=False, load_available_repos=True)
    solver = Solver(base, request["machine"])
    missing = solver.missing(request)
    if missing:
        return {"missing": missing}
    packages, problem = solver.solve(request["required"], (), request["provided"])
    if problem:
        raise RefusalError("solve", problem)
    if request["test"]:
        for package in packages:
            base.package_install(package)
        base.resolve()
        try:
            base.do_transaction()
        except dnf.exceptions.Error as error:
            raise RefusalError("solve", str(error)[:REASON]) from None
    return {"missing": []}


def main(arguments: Any) -> None:
    """Answer one request."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be part of the answer
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    limit(request["memory"])
    failure = None
    try:
        import dnf.exceptions

        answer = (attempt if request["attempt"] else resolve)(base_of(request), request)
    except ImportError as error:
        failure = RefusalError("program", str(error))
    except RefusalError as error:
        failure = error
    except MemoryError:
        failure = RefusalError("memory", "no memory")
    except dnf.exceptions.Error as error:
        failure = RefusalError("dnf", str(error)[:REASON])
    if failure:
        answer = {"failure": {"kind": failure.kind, "repository": failure.repository, "text": str(failure)}}
    json.dump(answer, answers)
    answers.close()


if __name__ == "__main__":
    main(sys.argv[1:])
