"""Which versions work together: one consistent choice for a host, or the smallest set of facts that contradict.

The table is data (data/compatibility.yaml); a rule is a relation between a few variables. A variable without a fact is
free: it can have any value of the table, or none. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from neuraltalk_provision.catalogue.model import Compatibility

CUDA_GCC = "cuda-gcc"
"""The name of the rule about nvcc and gcc."""
Assignment = Mapping[str, str]
"""{variable: value}; the value is empty if it is not known or the thing does not exist."""


@dataclass(frozen=True)
class Fact:
    """What is known about one variable: the values that it can have, and a text for messages."""

    variable: str
    values: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Contradiction:
    """The smallest set of facts that contradict each other, and the rules that they break."""

    facts: tuple[Fact, ...]
    reasons: tuple[str, ...]
    rules: tuple[str, ...]

    def __str__(self) -> str:
        found = "; ".join(fact.text for fact in self.facts)
        return f"{found}. These do not work together: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Rule:
    """A relation; `broken` returns how an assignment breaks it, or an empty text if it does not."""

    name: str
    variables: tuple[str, ...]
    broken: Callable[[Compatibility, Assignment], str]


def number(version: str) -> tuple[int, ...]:
    """A version as numbers: `352.31` is (352, 31)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def within(version: str, bounds: tuple[str, str]) -> bool:
    """Whether a version lies in a range; `4.9.4` is not above `4.9`."""
    least, greatest = (number(bound) for bound in bounds)
    return number(version) >= least and number(version)[: len(greatest)] <= greatest


def solve(table: Compatibility, facts: Sequence[Fact], skip_checks: Iterable[str] = ()) -> Assignment | Contradiction:
    """The assignment with the newest toolkit that fits all facts; else why there is none.

    The facts contain a toolkit (`cuda`). `skip_checks` names rules that are not applied, because the operator knows
    that they do not hold for this host.
    """
    skipped = set(skip_checks)
    rules = [rule for rule in RULES if rule.name not in skipped]
    fitting = list(_fitting(table, facts, rules))
    if fitting:
        return max(fitting, key=lambda one: number(one["cuda"]))
    for size in range(1, len(facts) + 1):
        for some in combinations(facts, size):
            if next(_fitting(table, some, rules), None) is None:
                return _contradiction(table, some, rules)
    raise AssertionError("no assignment fits all facts, and yet some fits every part of them")


def _assignments(table: Compatibility, facts: Sequence[Fact]) -> Iterator[Assignment]:
    known = {fact.variable: fact.values for fact in facts}
    domains = {"cuda": ("", *table.cuda), "profile": tuple(table.profiles), **known}
    for values in product(*domains.values()):
        yield dict(zip(domains, values, strict=True))


def _fitting(table: Compatibility, facts: Sequence[Fact], rules: Sequence[Rule]) -> Iterator[Assignment]:
    for assignment in _assignments(table, facts):
        if not any(_broken(table, assignment, rule) for rule in rules):
            yield assignment


def _broken(table: Compatibility, assignment: Assignment, rule: Rule) -> str:
    if not all(assignment.get(variable) for variable in rule.variables):
        return ""
    return rule.broken(table, assignment)


def _contradiction(table: Compatibility, facts: Sequence[Fact], rules: Sequence[Rule]) -> Contradiction:
    """Explained with the assignment that breaks the fewest rules: it is most probably the intended one."""
    broken = [
        {rule.name: reason for rule in rules if (reason := _broken(table, assignment, rule))}
        for assignment in _assignments(table, facts)
    ]
    least = min(broken, key=len)
    return Contradiction(tuple(facts), tuple(least.values()), tuple(least))


def _cuda_known(table: Compatibility, one: Assignment) -> str:
    if one["cuda"] in table.cuda:
        return ""
    known = sorted(table.cuda, key=number)
    return f"CUDA {one['cuda']} is not one of the supported releases {known[0]} to {known[-1]}"


def _cuda_driver(table: Compatibility, one: Assignment) -> str:
    row = table.cuda.get(one["cuda"])
    if row is None or number(one["driver"]) >= number(row.driver):
        return ""
    return f"CUDA {one['cuda']} needs driver {row.driver} or later, but the host has {one['driver']}"


def _cuda_gcc(table: Compatibility, one: Assignment) -> str:
    row = table.cuda.get(one["cuda"])
    if row is None or within(one["gcc"], ("0", row.gcc)):
        return ""
    return f"nvcc of CUDA {one['cuda']} accepts gcc up to {row.gcc}, but the host has {one['gcc']}"


def refused_gcc(table: Compatibility, cuda: str) -> str:
    """The range of the versions of gcc that nvcc does not accept, such as `>=16`; empty if none are known."""
    row = table.cuda.get(cuda)
    if row is None:
        return ""
    *first, last = number(row.gcc)
    return f">={'.'.join(map(str, (*first, last + 1)))}"


def reads_headers(table: Compatibility, cuda: str, glibc: str) -> bool:
    """Whether nvcc of a release is not known to fail at the headers of this glibc."""
    row = table.cuda.get(cuda)
    return row is None or not row.glibc or not glibc or within(glibc, ("0", row.glibc))


def _cuda_glibc(table: Compatibility, one: Assignment) -> str:
    row = table.cuda.get(one["cuda"])
    if row is None or reads_headers(table, one["cuda"], one["glibc"]):
        return ""
    return f"nvcc of CUDA {one['cuda']} can read headers of glibc up to {row.glibc}, but the host has {one['glibc']}"


def _cuda_capability(table: Compatibility, one: Assignment) -> str:
    row = table.cuda.get(one["cuda"])
    if row is None or not (wrong := _outside(one, row.capability)):
        return ""
    least, greatest = row.capability
    return f"CUDA {one['cuda']} builds for compute capability {least} to {greatest}, not for {wrong}"


def _outside(one: Assignment, bounds: tuple[str, str]) -> str:
    """Those of the compute capabilities that are not in a range."""
    return ", ".join(capability for capability in one["capability"].split(",") if not within(capability, bounds))


def _cuda_profile(table: Compatibility, one: Assignment) -> str:
    least, greatest = table.profiles[one["profile"]].cuda
    if within(one["cuda"], (least, greatest)):
        return ""
    return f"the sources of the profile {one['profile']} compile with CUDA {least} to {greatest}, not {one['cuda']}"


def _with_cudnn(one: Assignment) -> bool:
    """Whether cuDNN is used at all: the profile `modern` does not use it."""
    return one.get("profile", "legacy") == "legacy"


def _cudnn_archive(table: Compatibility, one: Assignment) -> str:
    if not _with_cudnn(one) or one["cudnn_cuda"] == one["cuda"]:
        return ""
    return f"the cuDNN archive is for CUDA {one['cudnn_cuda']}, not {one['cuda']}"


def _cudnn_cuda(table: Compatibility, one: Assignment) -> str:
    row = table.cudnn.get(one["cudnn"].split(".")[0])
    if not _with_cudnn(one) or (row and within(one["cuda"], row.cuda)):
        return ""
    if row is None:
        return f"no branch of the cudnn rock works with cuDNN {one['cudnn']}"
    return f"cuDNN {one['cudnn']} runs on CUDA {row.cuda[0]} to {row.cuda[1]}, not {one['cuda']}"


def _cudnn_capability(table: Compatibility, one: Assignment) -> str:
    row = table.cudnn.get(one["cudnn"].split(".")[0])
    if not _with_cudnn(one) or row is None or not (wrong := _outside(one, row.capability)):
        return ""
    least, greatest = row.capability
    return f"cuDNN {one['cudnn']} runs on compute capability {least} to {greatest}, not on {wrong}"


def _cudnn_rock(table: Compatibility, one: Assignment) -> str:
    row = table.cudnn.get(one["cudnn"].split(".")[0])
    if not _with_cudnn(one) or row is None or row.rock == one["rock"]:
        return ""
    return f"cuDNN {one['cudnn']} needs the branch {row.rock} of the cudnn rock, but the mirror has {one['rock']}"


RULES = (
    Rule("cuda-known", ("cuda",), _cuda_known),
    Rule("cuda-driver", ("cuda", "driver"), _cuda_driver),
    Rule(CUDA_GCC, ("cuda", "gcc"), _cuda_gcc),
    Rule("cuda-glibc", ("cuda", "glibc"), _cuda_glibc),
    Rule("cuda-capability", ("cuda", "capability"), _cuda_capability),
    Rule("cuda-profile", ("cuda", "profile"), _cuda_profile),
    Rule("cudnn-archive", ("cuda", "cudnn_cuda"), _cudnn_archive),
    Rule("cudnn-cuda", ("cuda", "cudnn"), _cudnn_cuda),
    Rule("cudnn-capability", ("cudnn", "capability"), _cudnn_capability),
    Rule("cudnn-rock", ("cudnn", "rock"), _cudnn_rock),
)
