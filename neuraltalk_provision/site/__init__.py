"""From what hosts say of themselves to hosts that run the stack: host states, plan, stage, activate."""
