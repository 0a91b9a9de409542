"""From what hosts say of themselves to hosts that run the stack: question, plan, stage, activate."""
