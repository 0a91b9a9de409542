"""Work on hosts: read host states, plan, stage, activate, verify, roll back."""
