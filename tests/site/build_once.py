"""`python -m tests.site.build_once [HOST...]`: only the staging of `provision site`, with the cache; prints JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from neuraltalk_provision import settings as settings_file
from neuraltalk_provision.fleet import survey
from neuraltalk_provision.output import Output
from neuraltalk_provision.site import build_once, converge, leases, playbook
from neuraltalk_provision.site.events import PlayResults


def main(builders: Sequence[str]) -> int:
    """Stage every host of the settings in this directory; `builders` build if they can."""
    settings = settings_file.load(None).model_copy(update={"builders": tuple(builders), "cache": True})
    output = Output(as_json=True)
    found = survey.survey(settings, (), output)
    survey.refuse(found)
    plans = found.plans
    given = converge.variables(plans, settings)

    def build(hosts: Sequence[str]) -> PlayResults:
        request = playbook.Request("site.yml", settings.inventory, given, hosts, forks=settings.forks)
        return playbook.run(request).results

    with leases.released([plan.host for plan in plans], given, settings):
        staged = build_once.build_once(plans, given, settings, output, build, builders)
    result = {
        "unpacked": staged.unpacked,
        "planned": {plan.host: plan.unpack.words for plan in plans if plan.unpack},
        "built": sorted({change.host for change in staged.changes if change.change == "build"}),
        "failures": [failure.message for failure in staged.failures],
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
