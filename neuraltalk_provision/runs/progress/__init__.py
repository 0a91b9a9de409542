"""What is known of runs: how far they got, whether they are well, how they ended."""
