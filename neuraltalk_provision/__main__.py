"""`python -m neuraltalk_provision` is `provision`."""

from neuraltalk_provision.cli.main import main

main()
