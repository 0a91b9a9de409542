"""Data sets: convert pictures and captions to the files that train.lua reads, and find faults in them."""
