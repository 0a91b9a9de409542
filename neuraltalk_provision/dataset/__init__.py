"""Data sets: pictures and captions made into what train.lua reads, and what is wrong with them."""
