"""Asks every host for what `provision drift` compares: its state, and the files of its current generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.catalogue import Catalogue
from neuraltalk_provision.catalogue.recipe import LockedFile
from neuraltalk_provision.errors import ProvisionError
from neuraltalk_provision.fleet.drift import Report, compare
from neuraltalk_provision.fleet.findings import Accepted
from neuraltalk_provision.fleet.observed import Observed
from neuraltalk_provision.output import Output
from neuraltalk_provision.results.host_state import HostState
from neuraltalk_provision.settings import Settings
from neuraltalk_provision.site import advice, converge, host_state, operations, recipes
from neuraltalk_provision.site.plan import HostPlan, plan


def report(settings: Settings, limit: Sequence[str], output: Output, accepted: Accepted) -> Report:
    """The report about all hosts. Changes nothing on them, and runs nothing of their stacks.

    A host that cannot be asked, or for which nothing can be built, is a part of the report. Raises MirrorError if the
    lock cannot be read, and UsageError if the settings or the inventory are wrong.
    """
    catalogue = catalogues.load()
    listed = converge.open_mirror(settings)
    with output.working("reading the states of the hosts"):
        found = host_state.read_each(settings, catalogue, limit)
    if not listed:
        # This raises the error that names the files for these hosts.
        converge.planner(settings, limit, found, listed, take_over=False)
    observed = [Observed(one.host, unasked=advice.explain(one)) for one in found.failures]
    plans = []
    for host, state in found.states.items():
        one, planned = _planned(host, state, settings, catalogue, listed)
        observed.append(one)
        if planned and state.stack.current:
            plans.append(planned)
    gpu_components = frozenset(component.name for component in catalogue.components if component.profiles)
    return compare(_verified(observed, plans, settings, output), gpu_components, accepted)


def _planned(
    host: str, state: HostState, settings: Settings, catalogue: Catalogue, listed: Mapping[str, LockedFile]
) -> tuple[Observed, HostPlan | None]:
    """What is described for a host; without a plan if nothing can be built for it, with the reason."""
    try:
        chosen = recipes.of_hosts({host: state}, settings, catalogue, listed)[host]
    except ProvisionError as error:
        why = "its files were not compared, because nothing can be built for this host"
        return Observed(host, state, refusals=(error.message,), unverified=why), None
    # The card of a host that is refused is not known well enough to describe a stack for it.
    recipe = None if chosen.refusals else chosen.recipe
    return Observed(host, state, recipe, chosen.refusals), plan(host, state, chosen.recipe)


def _verified(
    observed: Sequence[Observed], plans: Sequence[HostPlan], settings: Settings, output: Output
) -> tuple[Observed, ...]:
    """The hosts with the differences of their files."""
    verdicts = operations.verify(plans, settings, output, programs=False) if plans else ()
    by_host = {verdict.host: verdict for verdict in verdicts}
    return tuple(
        replace(
            one, checks=by_host[one.host].checks, files=by_host[one.host].files, unverified=by_host[one.host].failure
        )
        if one.host in by_host
        else one
        for one in observed
    )
