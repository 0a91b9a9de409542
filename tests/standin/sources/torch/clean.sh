#!/usr/bin/env bash
# Like upstream's: every directory called build or install goes, the installed tree at ./install too.
here=$(cd "$(dirname "$0")" && pwd)
find "$here/" -type d \( -name build -o -name install \) -prune ! -path '*/exe/luajit-rocks/*' -exec rm -rf {} +
rm -f "$here"/extra/threads/CMakeCache.txt "$here"/extra/luafilesystem/lfs.so
