#!/usr/bin/env bash
# Stand-in for the installer of Torch: the same options, the same order, the same traps, small rocks.
echo "stand-in: tests/standin, not upstream code" >&2

SKIP_RC=0
BATCH_INSTALL=0
THIS_DIR=$(cd "$(dirname "$0")" && pwd)
case "$THIS_DIR" in
    *" "*)
        echo "$THIS_DIR: Torch cannot install to a path containing whitespace.
Please try a different path, one without any spaces."
        exit 1
        ;;
esac
PREFIX=${PREFIX:-"$THIS_DIR/install"}
TORCH_LUA_VERSION=${TORCH_LUA_VERSION:-LUAJIT21}

usage() {
    cat <<USAGE
usage: $0
This script will install Torch and related, useful packages into $PREFIX.

    -b      Run without requesting any user input (will automatically add PATH to shell profile)
    -s      Skip adding the PATH to shell profile

USAGE
    exit 2
}

while getopts 'bsh' option; do
    case "$option" in
        b) BATCH_INSTALL=1 ;;
        s) SKIP_RC=1 ;;
        h) usage ;;
    esac
done

OLDPATH=$PATH
if echo "$PATH" | grep -q conda; then
    PATH=$(echo "$PATH" | tr ':' '\n' | grep -v 'conda' | tr '\n' ':')
    export PATH
fi

echo "Prefix set to $PREFIX"
export CMAKE_LIBRARY_PATH=$PREFIX/include:/opt/OpenBLAS/include:$PREFIX/lib:/opt/OpenBLAS/lib:$CMAKE_LIBRARY_PATH
export CMAKE_PREFIX_PATH=$PREFIX

git submodule update --init --recursive

echo "Installing Lua version: $TORCH_LUA_VERSION"
mkdir -p install
mkdir -p build
cd build || exit 1
cmake .. -DCMAKE_INSTALL_PREFIX="$PREFIX" -DCMAKE_BUILD_TYPE=Release -DWITH_"$TORCH_LUA_VERSION"=ON 2>&1 >>"$PREFIX/install.log" || exit 1
(make 2>&1 >>"$PREFIX/install.log" || exit 1) && (make install 2>&1 >>"$PREFIX/install.log" || exit 1)
cd ..

# Any nvcc will do: there is no way to ask for an installation without CUDA.
path_to_nvcc=$(which nvcc)
if [ $? == 1 ]; then
    for candidate in /usr/local/cuda/bin/nvcc /opt/cuda/bin/nvcc; do
        if [ -f "$candidate" ]; then path_to_nvcc=$candidate; break; fi
    done
fi

# check if we are on mac and fix RPATH for local install
if [ "$(uname)" == Darwin ]; then
    echo "the stand-in is for Linux" >&2
    exit 1
fi

if [ -x "$path_to_nvcc" ] || [ -x "$path_to_nvidiasmi" ]; then
    echo "Found CUDA on your machine. Installing CMake 3.6 modules to get up-to-date FindCUDA"
    cd "$THIS_DIR/cmake/3.6" && mkdir -p build && cd build &&
        cmake .. -DCMAKE_INSTALL_PREFIX="$PREFIX" && make install &&
        echo "FindCuda bits of CMake 3.6 installed" || exit 1
fi

setup_lua_env_cmd=$("$PREFIX/bin/luarocks" path)
eval "$setup_lua_env_cmd"

echo "Installing common Lua packages"
cd $THIS_DIR/extra/luafilesystem && $PREFIX/bin/luarocks make rockspecs/luafilesystem-1.6.3-1.rockspec || exit 1
cd $THIS_DIR/extra/penlight      && $PREFIX/bin/luarocks make penlight-scm-1.rockspec || exit 1
cd $THIS_DIR/extra/lua-cjson     && $PREFIX/bin/luarocks make lua-cjson-2.1devel-1.rockspec || exit 1

echo "Installing core Torch packages"
cd $THIS_DIR/extra/luaffifb && $PREFIX/bin/luarocks make luaffi-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/sundown    && $PREFIX/bin/luarocks make rocks/sundown-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/cwrap      && $PREFIX/bin/luarocks make rocks/cwrap-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/paths      && $PREFIX/bin/luarocks make rocks/paths-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/torch      && $PREFIX/bin/luarocks make rocks/torch-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/dok        && $PREFIX/bin/luarocks make rocks/dok-scm-1.rockspec || exit 1
cd $THIS_DIR/exe/trepl      && $PREFIX/bin/luarocks make trepl-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/sys        && $PREFIX/bin/luarocks make sys-1.1-0.rockspec || exit 1
cd $THIS_DIR/pkg/xlua       && $PREFIX/bin/luarocks make xlua-1.0-0.rockspec || exit 1
cd $THIS_DIR/extra/moses    && $PREFIX/bin/luarocks make rockspec/moses-1.6.1-1.rockspec || exit 1
cd $THIS_DIR/extra/nn       && $PREFIX/bin/luarocks make rocks/nn-scm-1.rockspec || exit 1
cd $THIS_DIR/extra/graph    && $PREFIX/bin/luarocks make rocks/graph-scm-1.rockspec || exit 1
cd $THIS_DIR/extra/nngraph  && $PREFIX/bin/luarocks make nngraph-scm-1.rockspec || exit 1
cd $THIS_DIR/pkg/image      && $PREFIX/bin/luarocks make image-1.1.alpha-0.rockspec || exit 1
cd $THIS_DIR/pkg/optim      && $PREFIX/bin/luarocks make optim-1.0.5-0.rockspec || exit 1

if [ -x "$path_to_nvcc" ]; then
    echo "Found CUDA on your machine. Installing CUDA packages"
    cd $THIS_DIR/extra/cutorch && $PREFIX/bin/luarocks make rocks/cutorch-scm-1.rockspec || exit 1
    cd $THIS_DIR/extra/cunn    && $PREFIX/bin/luarocks make rocks/cunn-scm-1.rockspec || exit 1
fi

echo "Installing optional Torch packages"
cd $THIS_DIR/pkg/gnuplot    && $PREFIX/bin/luarocks make rocks/gnuplot-scm-1.rockspec
cd $THIS_DIR/exe/env        && $PREFIX/bin/luarocks make env-scm-1.rockspec
cd $THIS_DIR/extra/nnx      && $PREFIX/bin/luarocks make nnx-0.1-1.rockspec
cd $THIS_DIR/exe/qtlua      && $PREFIX/bin/luarocks make rocks/qtlua-scm-1.rockspec
cd $THIS_DIR/pkg/qttorch    && $PREFIX/bin/luarocks make rocks/qttorch-scm-1.rockspec
cd $THIS_DIR/extra/threads  && $PREFIX/bin/luarocks make rocks/threads-scm-1.rockspec
cd $THIS_DIR/extra/argcheck && $PREFIX/bin/luarocks make rocks/argcheck-scm-1.rockspec

export PATH=$OLDPATH

cat <<ACTIVATE >"$PREFIX/bin/torch-activate"
$setup_lua_env_cmd
export PATH=$PREFIX/bin:\$PATH
export LD_LIBRARY_PATH=$PREFIX/lib:\$LD_LIBRARY_PATH
export DYLD_LIBRARY_PATH=$PREFIX/lib:\$DYLD_LIBRARY_PATH
export LUA_CPATH='$PREFIX/lib/?.so;'\$LUA_CPATH
ACTIVATE
chmod +x "$PREFIX/bin/torch-activate"

if [ $SKIP_RC == 1 ]; then exit 0; fi

profile=
case "$SHELL" in
    *bash*) profile=$HOME/.bashrc ;;
    *zsh*) profile=$HOME/.zshrc ;;
    *)
        echo "

Non-standard shell $SHELL detected. You might want to
add the following lines to your shell profile:

. $PREFIX/bin/torch-activate
"
        ;;
esac

write=0
if [ $BATCH_INSTALL == 1 ]; then
    if [ -n "$profile" ]; then write=1; fi
elif [ -f "$profile" ]; then
    echo "

Do you want to automatically prepend the Torch install location
to PATH and LD_LIBRARY_PATH in your $profile? (yes/no)
[yes] >>> "
    read -r answer
    case "${answer:-yes}" in
        y|Y|yes|Yes|YES) write=1 ;;
    esac
fi

if [ $write == 1 ]; then
    for file in "$profile" "$HOME/.profile"; do
        printf '\n\n. %s/bin/torch-activate\n' "$PREFIX" >>"$file"
    done
else
    echo "

Not updating your shell profile.
You might want to
add the following lines to your shell profile:

. $PREFIX/bin/torch-activate
"
fi
