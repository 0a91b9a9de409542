#!/bin/bash
# Packs a generation for a machine with a card: pack.sh GENERATION, in the build host.
set -euo pipefail
generation=$1
mkdir -p "$generation/lib-run" "$generation/test-data"
cp -r /data/. "$generation/test-data/"
# What the tree loads from the distribution, but for the C and C++ libraries: the other machine has newer ones.
own='lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s)|ld-linux-x86-64'
# HDF5 is linked by nothing: torch-hdf5 opens it by the name that was kept when it was built.
hdf5=$(ldconfig -p | awk -v name="$(grep -o 'libhdf5[a-z_]*\.so\.[0-9]*' "$generation/torch/share/lua/5.1/hdf5/runtime.lua")" '$1 == name { print $NF; exit }')
cp -L "$hdf5" "$generation/lib-run/"
{ find "$generation/torch" -name '*.so*' -o -path '*/bin/luajit'; echo "$hdf5"; } | while read -r file; do
    "$generation/bin/with-stack" ldd "$file" 2>/dev/null || true
done | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | grep -E '^/(usr/)?lib/' | grep -vE "/($own)\.so" | sort -u |
    while read -r library; do cp -L "$library" "$generation/lib-run/"; done
parts=(torch bin etc stamps logs environment generation.json neuraltalk2 lib-run test-data)
tar cf /var/tmp/tree.tar -C / "${parts[@]/#/${generation#/}/}"
