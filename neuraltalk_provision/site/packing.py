"""Packs sealed generations on their builders, and makes them entries of the mirror's cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuraltalk_provision import paths
from neuraltalk_provision.errors import MirrorError, ProvisionError, UsageError, naming
from neuraltalk_provision.mirror import cache, cache_needs, incoming, signing, trust
from neuraltalk_provision.mirror.cache_entry import CacheEntry
from neuraltalk_provision.mirror.cache_needs import Inspected
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.cache import GenerationPackResult, Pack, Runtime
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, host_results, packs, playbook, runtimes
from neuraltalk_provision.site.plan import HostPlan

COMPILED_LEVEL = 2
"""The level of x86-64 that Torch's build uses for everything if the builder has it.

Its FindSSE.cmake runs small programs on the builder, and adds -msse3, -msse4.1 and -msse4.2 to the flags of all files
of TH. Code with AVX is in files of its own, and is chosen when Torch runs. No linker notes these flags.
"""


@dataclass(frozen=True)
class Fetched:
    """The tar of a builder on this machine, in a temporary file, and what it needs and contains."""

    plan: HostPlan
    file: Path
    pack: Pack
    inspected: Inspected


Problems = dict[str, str]
"""{host: why its generation could not be packed}."""


def obstacle(settings: Settings) -> str:
    """Why no generation that is built now could be used from the cache, in words; empty if it could."""
    problem = cache.unwritable(settings.mirror)
    if not problem and settings.mirror_trust != "unsigned":
        try:
            signing.choose(None, settings)
        except UsageError as error:
            problem = f"mirror_trust is {settings.mirror_trust}, and {error.message}"
    return problem


def fetch(
    builders: Sequence[HostPlan], lease: Mapping[str, Any], settings: Settings, output: Output
) -> tuple[tuple[Fetched, ...], Problems]:
    """The packed generations of builders, each of another id, and why there is none from the other builders.

    `lease` is the variable `provision_lease`. The caller removes the files, or publishes them.
    """
    files = {plan.host: cache.incoming(settings.mirror, plan.recipe.id) for plan in builders}
    request = playbook.Request.of_site(
        settings,
        "pack.yml",
        list(files),
        {
            "provision_packing": {plan.host: packs.packing(plan, str(files[plan.host])) for plan in builders},
            "provision_lease": lease,
        },
    )
    try:
        with output.working("packing the generation"):
            received = playbook.run(request).results
    except BaseException:  # also Ctrl-C: each file is as large as a stack
        for file in files.values():
            cache.drop_incoming(file)
        raise
    results, failures = host_results.of(received, "generation_pack", GenerationPackResult, list(files))
    problems = {failure.host: advice.explain(failure) for failure in failures}
    fetched = []
    for plan in builders:
        if plan.host not in results:
            cache.drop_incoming(files[plan.host])
            continue
        try:
            fetched.append(_inspected(plan, files[plan.host], results[plan.host].pack))
        except ProvisionError as error:
            problems[plan.host] = error.message
            cache.drop_incoming(files[plan.host])
    return tuple(fetched), problems


def _inspected(plan: HostPlan, file: Path, pack: Pack) -> Fetched:
    """What arrived. Raises MirrorError if it is not what was announced, or not a packed generation of the plan."""
    with naming(file, "read", MirrorError):
        digest, size = incoming.digest(file)
    if (size, digest) != (pack.size, pack.sha256):
        raise MirrorError(f"{plan.host}: what arrived is not the packed generation that was announced")
    inspected = cache_needs.inspect(file)
    if set(inspected.lacks) - plan.recipe.files.keys():
        raise MirrorError(f"{plan.host}: the packed generation lacks files that are not in the mirror")
    return Fetched(plan, file, pack, inspected)


def builders_of(fetched: Sequence[Fetched], settings: Settings, output: Output) -> dict[str, Runtime]:
    """{builder: what it has}: its Python, and the OS package of each library; none of a builder that did not say."""
    questions = {one.plan.host: packs.question(one.inspected.needs, one.plan.recipe, packages=True) for one in fetched}
    return runtimes.answers(questions, settings, output)[0]


def publish(fetched: Fetched, builder: Runtime, settings: Settings) -> CacheEntry:
    """Make a fetched generation the entry of its id, signed if provision.yml demands signatures.

    Raises UsageError if it has to be signed and it is not clear with which key; then the entry is there, unsigned.
    """
    recipe = fetched.plan.recipe
    gpu, needs = recipe.gpu, fetched.inspected.needs
    needs = needs.model_copy(update={"level": max(needs.level, min(builder.level, COMPILED_LEVEL))})
    if fetched.inspected.extends_python:
        needs = needs.model_copy(update={"python": builder.python})
    entry = CacheEntry(
        id=recipe.id,
        sha256=fetched.pack.sha256,
        size=fetched.pack.size,
        platform=recipe.platform,
        gpu=f"{gpu.profile}: CUDA {gpu.cuda} for {gpu.archs}" if gpu else "",
        stack_root=recipe.stack_root,
        lock=trust.open_with_digest(settings)[1],
        builder=fetched.plan.host,
        provision=paths.version(),
        built=f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ}",
        components=recipe.digests,
        left_out=fetched.inspected.lacks,
        needs=needs,
        packages={
            name: builder.libraries[name].package
            for name in needs.libraries
            if name in builder.libraries and builder.libraries[name].package
        },
    )
    content = entry.as_bytes()
    signatures: dict[str, bytes] = {}
    problem: UsageError | None = None
    if settings.mirror_trust != "unsigned":
        # What is in memory is signed: others may be able to write to the mirror.
        try:
            signature = signing.signature_of(content, signing.choose(None, settings))
            signatures[signing.name_of(signature)] = signature.text
        except UsageError as error:
            problem = error
    cache.publish(settings.mirror, entry, fetched.file, content, signatures)
    if problem:
        raise problem
    return entry
