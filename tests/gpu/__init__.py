"""The GPU half on a real card: `make gpu-tree` builds and packs, `make test-gpu` runs where the card is."""
