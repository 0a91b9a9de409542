"""Odd machines as data: what makes a machine odd, and what `provision site` says of it. Each machine is one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neuraltalk_provision import catalogue as catalogues
from neuraltalk_provision.rules import versions

DISKS = ("900m,noexec:/noexec", "900m,nr_inodes=300:/few", "100k,mode=1777:/small", "300m,noexec,mode=1777:/tmp")
"""Disks of the machines: one with noexec, one with few inodes, one that is too small for the largest file, and /tmp."""
SHELL_IN_VAIN = "printf '#!/bin/sh\\nexit 1\\n' >{0}; chmod 755 {0}"


@dataclass(frozen=True)
class Odd:
    """A machine that is refused: shell that makes it odd and that undoes it, and what --plan and site print.

    `options` are for the command, `variables` for the host's entry in the inventory. `code` is the exit code: 2 if the
    plan refuses it, 1 if no module runs there.
    """

    name: str
    make: str
    undo: str
    says: tuple[str, ...]
    code: int = 2
    options: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    image: str = "ready"


@dataclass(frozen=True)
class Harmless:
    """Something odd that has no effect on the stack."""

    name: str
    make: str
    variables: Mapping[str, object] = field(default_factory=dict)


PYTHON_27 = (
    "/usr/bin/python2.7 is Python 2.7",
    "needs Python 3.",
    "ansible-core 2.16 drives this host",
    "'ansible-core==2.16.*'",
)
OWN_CMAKE = "printf '#!/bin/sh\\necho cmake version 99.0\\n' >/usr/local/bin/cmake"
OTHER_HDF5 = (
    "sed 's/^\\(#define H5_VERS_MINOR\\).*/\\1 99/' /usr/include/hdf5/serial/H5public.h >/usr/local/include/H5public.h"
)
NEWER = "sed -i '/^Package: libpng16-16$/,/^$/ s/^Version: .*/Version: 1.6.99-1/' /var/lib/dpkg/status"

REFUSED = (
    Odd("Python 2.7 alone", "true", "true", PYTHON_27, code=1, image="py27"),
    Odd(
        "Python 2.7 as the interpreter",
        "true",
        "true",
        PYTHON_27,
        code=1,
        image="py27",
        variables={"ansible_python_interpreter": "/usr/bin/python2.7"},
    ),
    Odd(
        "Python without its library",
        "mv /usr/lib/python3.11/json /root/json",
        "mv /root/json /usr/lib/python3.11/json",
        ("the host's Python does not start", "No module named 'json'", "apt-get install --reinstall"),
        code=1,
    ),
    Odd(
        "a newer Python that ends at once",
        SHELL_IN_VAIN.format("/usr/local/bin/python3.13"),
        "rm /usr/local/bin/python3.13",
        (
            "set ansible_python_interpreter: /usr/bin/python3.11 (Python 3.11)",
            "/usr/local/bin/python3.13 does not start",
        ),
        code=1,
    ),
    Odd(
        "a newer Python that was compiled without ctypes",
        "python3 -m venv --without-pip /opt/v; "
        "echo 'import sys; sys.modules[\"_ctypes\"] = None' >/opt/v/lib/python3.11/site-packages/odd.pth; "
        "printf '#!/bin/sh\\nexec /opt/v/bin/python \"$@\"\\n' >/usr/local/bin/python3.13; "
        "chmod 755 /usr/local/bin/python3.13",
        "rm -r /opt/v /usr/local/bin/python3.13",
        (
            "import of _ctypes halted",
            "set ansible_python_interpreter: /usr/bin/python3.11 (Python 3.11)",
            "/usr/local/bin/python3.13 does not start",
        ),
        code=1,
    ),
    Odd(
        "PYTHONPATH with modules of Python 2, set by sudo",
        "mkdir -p /opt/bad/json; echo 'raise ImportError(\"no json\")' >/opt/bad/json/__init__.py; "
        "echo PYTHONPATH=/opt/bad >/etc/odd; echo 'Defaults env_file=/etc/odd' >/etc/sudoers.d/odd",
        "rm -r /etc/sudoers.d/odd /etc/odd /opt/bad",
        ("every Python of this host starts for the login user", "`sudo env | grep PYTHON`", "no json"),
        code=1,
    ),
    Odd(
        "an interpreter that does not exist",
        "true",
        "true",
        ("/opt/python/bin/python", "set ansible_python_interpreter: /usr/bin/python3.11"),
        code=1,
        variables={"ansible_python_interpreter": "/opt/python/bin/python"},
    ),
    Odd(
        "sudo with requiretty",
        "echo 'Defaults requiretty' >/etc/sudoers.d/odd",
        "rm /etc/sudoers.d/odd",
        ("sudo: sorry, you must have a tty to run sudo", "set ansible_pipelining: false"),
        code=1,
    ),
    Odd(
        "sudo with noexec",
        "echo 'Defaults noexec' >/etc/sudoers.d/odd",
        "rm /etc/sudoers.d/odd",
        ("the login user can start this Python, but not with sudo", "`Defaults:USER !noexec`"),
        code=1,
    ),
    Odd(
        "the login shell nologin",
        "usermod -s /usr/sbin/nologin ops",
        "usermod -s /bin/bash ops",
        ("This account is currently not available", "another ansible_user", "usermod -s /bin/sh"),
        code=1,
    ),
    Odd(
        "a restricted login shell",
        "usermod -s /bin/rbash ops",
        "usermod -s /bin/bash ops",
        ("restricted", "another ansible_user"),
        code=1,
    ),
    Odd(
        "a login script that ends the shell",
        "sed -i '1i exit 0' /home/ops/.bashrc",
        "sed -i 1d /home/ops/.bashrc",
        ("the login shell of this user runs no commands", "no result and no message, exit code 0"),
        code=1,
    ),
    Odd(
        "an expired password",
        "chage -d 0 ops",
        "chage -d $(date +%Y-%m-%d) ops",
        ("password", "log in once by hand"),
        code=1,
    ),
    Odd(
        "a link to nothing as stack_root",
        "ln -s /data/none /opt/stack",
        "rm /opt/stack",
        ("/opt/stack is a link to /data/none, where there is no directory", "create that directory"),
        options=("--stack-root", "/opt/stack"),
    ),
    Odd(
        "links in a circle in the path of stack_root",
        "ln -s /opt/loop /opt/loop",
        "rm /opt/loop",
        ("/opt/loop is a link to /opt/loop, where there is no directory",),
        options=("--stack-root", "/opt/loop/stack"),
    ),
    Odd(
        "a link as the directory of the runs",
        "mkdir -p /opt/stack /opt/disk; ln -s /opt/disk /opt/stack/runs",
        "rm -r /opt/stack /opt/disk",
        ("/opt/stack/runs is a link, and runs need a directory there", "mount --bind DIRECTORY /opt/stack/runs"),
        options=("--stack-root", "/opt/stack"),
    ),
    Odd(
        "a file as stack_root",
        "touch /opt/stack",
        "rm /opt/stack",
        ("/opt/stack is a file", "choose another stack_root"),
        options=("--stack-root", "/opt/stack"),
    ),
    Odd(
        "a protoc that does not fit the headers of the OS package",
        "printf '#!/bin/sh\\necho libprotoc 99.1\\n' >/usr/local/bin/protoc; chmod 755 /usr/local/bin/protoc",
        "rm /usr/local/bin/protoc",
        ("/usr/local has protoc 99.1, which does not fit the headers of the OS package", "remove it from /usr/local"),
    ),
    Odd(
        "a compiler in /usr/local that does not start, and a pip",
        "printf '#!/bin/sh\\necho $0: libmpfr.so.4 is missing >&2; exit 127\\n' >/usr/local/bin/gcc; "
        "chmod 755 /usr/local/bin/gcc; d=/usr/local/lib/python3.11/dist-packages/pip; mkdir -p $d; "
        "touch $d/__init__.py; echo 'raise ImportError(\"no SSLTransport\")' >$d/__main__.py",
        "rm -r /usr/local/bin/gcc /usr/local/lib/python3.11/dist-packages/pip",
        (
            "/usr/local/bin/gcc does not start, and builds would use it: /usr/local/bin/gcc: libmpfr.so.4 is missing",
            "-m pip does not start: ImportError: no SSLTransport",
        ),
    ),
    Odd(
        "a read-only /usr",
        "mount --bind /usr /usr && mount -o remount,bind,ro /usr",
        "umount --lazy /usr",
        ("/usr cannot be written, but OS packages are installed there", "mount -o remount,rw /usr"),
    ),
    Odd(
        "noexec where dpkg has its scripts",
        "mount --bind /var/lib /var/lib && mount -o remount,bind,noexec /var/lib",
        "umount --lazy /var/lib",
        ("/var/lib is mounted with noexec, but dpkg runs the scripts", "mount -o remount,exec /var/lib"),
    ),
    Odd(
        "noexec under stack_root",
        "true",
        "true",
        ("/noexec is mounted with noexec", "mount -o remount,exec /noexec"),
        options=("--stack-root", "/noexec/stack"),
    ),
    Odd(
        "no inodes under stack_root",
        "true",
        "true",
        ("the file system of /few has space for 29", "df -i"),
        options=("--stack-root", "/few/stack"),
    ),
    Odd(
        "too little space for temporary files",
        "true",
        "true",
        ("/small, through which files are sent", "ansible_remote_tmp"),
        variables={"ansible_remote_tmp": "/small"},
    ),
    Odd(
        "no directory for temporary files",
        "mv /var/tmp /var/tmp.away",
        "mv /var/tmp.away /var/tmp",
        ("/var/tmp, where Ansible puts its temporary files, is not a directory", "mkdir -p -m 1777 /var/tmp"),
    ),
    Odd(
        "a directory for temporary files that only root can write",
        "chmod 755 /var/tmp",
        "chmod 1777 /var/tmp",
        ("/var/tmp, where Ansible puts its temporary files, cannot be written by the user who logs in", "chmod 1777"),
    ),
    Odd(
        "a package that is newer than the mirror's",
        f"cp -a /var/lib/dpkg/status /root/status; {NEWER}",
        "cp -a /root/status /var/lib/dpkg/status",
        ("apt cannot install the packages of packages-debian-12", "libpng16-16 (=", "Collect that archive again"),
    ),
    Odd(
        "a statoverride for a group that is gone",
        "echo 'root nosuchgroup 0750 /var/lib/puppet' >>/var/lib/dpkg/statoverride",
        "sed -i '/nosuchgroup/d' /var/lib/dpkg/statoverride",
        ("dpkg of this host installs no package, whichever it is", "unknown system group 'nosuchgroup'"),
    ),
    Odd(
        "headers of another HDF5 without its library",
        OTHER_HDF5,
        "rm /usr/local/include/H5public.h",
        ("/usr/local has the headers of HDF5 1.99.", "does not fit the library of the OS package", "remove it from"),
    ),
    *(
        Odd(
            "a CMake that is known not to work",
            f"{OWN_CMAKE}; chmod 755 /usr/local/bin/cmake",
            "rm /usr/local/bin/cmake",
            ("CMake 99.0 in /usr/local is known not to work", row.reason[:30], row.cure[:30]),
        )
        for row in catalogues.tried_table().not_working
        if row.what == "cmake" and versions.within("99.0", row.versions)
    ),
)

CONDA = "mkdir -p /opt/conda/bin; for p in gcc g++ cc c++ cmake make ld luajit lua luarocks python3 pip; do " + (
    SHELL_IN_VAIN.format("/opt/conda/bin/$p") + "; done"
)
VARIABLES = {
    "BASH_ENV": "/opt/conda/none",
    "CPATH": "/opt/conda/include",
    "DESTDIR": "/opt/conda/dest",
    "GZIP": "-9",
    "LD_LIBRARY_PATH": "/opt/conda/lib",
    "LUAROCKS_CONFIG": "/opt/conda/none.lua",
    "LUA_CPATH": "/opt/conda/?.so",
    "POSIXLY_CORRECT": "1",
    "PREFIX": "/opt/conda",
    "PYTHONWARNINGS": "error",
    "TAR_OPTIONS": "--strip-components=3",
    "TMPDIR": "/opt/conda/none",
    "TORCH_LUA_VERSION": "LUA52",
    "CC": "/opt/conda/bin/gcc",
    "CXX": "/opt/conda/bin/g++",
    "CFLAGS": "-Werror -Wno-such-option",
    "CXXFLAGS": "-Werror -Wno-such-option",
    "CMAKE_PREFIX_PATH": "/opt/conda",
    "CMAKE_GENERATOR": "Ninja",
    "CONDA_PREFIX": "/opt/conda",
    "LDFLAGS": "-L/opt/conda/lib -lconda",
    "LUA_INIT": "error(0)",
    "LUA_PATH": "/opt/conda/?.lua",
    "MAKEFLAGS": "-k --no-such-option",
    "PIP_TARGET": "/opt/conda/lib",
    "http_proxy": "http://192.0.2.1:3128",
    "https_proxy": "http://192.0.2.1:3128",
}
PIP_CONF = (
    "user = true\\nprefix = /opt/conda\\nno-binary = :all:\\nrequire-virtualenv = true\\nindex-url = http://192.0.2.1/"
)
LOCK = "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(f, 2); time.sleep({})"

HARMLESS = (
    Harmless(
        "no home of the login user",
        "mkdir /etc/ssh/keys; cp /home/ops/.ssh/authorized_keys /etc/ssh/keys/ops; chown ops /etc/ssh/keys/ops; "
        "echo 'AuthorizedKeysFile /etc/ssh/keys/%u' >/etc/ssh/sshd_config.d/odd.conf; mv /home/ops /home/away; "
        "kill -HUP $(pgrep -o -x sshd)",
    ),
    Harmless(
        "conda first in PATH",
        f"{CONDA}; echo 'Defaults secure_path=/opt/conda/bin:/usr/sbin:/usr/bin:/sbin:/bin' >/etc/sudoers.d/path",
    ),
    Harmless(
        "variables that compilers, CMake, make, Lua and pip read",
        "".join(f"echo '{name}={value}' >>/etc/odd; " for name, value in VARIABLES.items())
        + "echo 'Defaults env_file=/etc/odd' >/etc/sudoers.d/env",
    ),
    Harmless("/etc/pip.conf of another purpose", f"printf '[global]\\n{PIP_CONF}\\n' >/etc/pip.conf"),
    Harmless(
        "a newer Python without pip",
        "python3 -m venv --without-pip /opt/venv; ln -s /opt/venv/bin/python /usr/local/bin/python3.13",
    ),
    Harmless(
        "a repository of somebody else without Release",
        "mkdir -p /opt/others; echo 'deb file:/opt/others x main' >/etc/apt/sources.list.d/others.list",
    ),
    Harmless(
        "the lock of apt, held for a while",
        f'(setsid /usr/bin/python3 -c "{LOCK.format(90)}" >/dev/null 2>&1 &)',
    ),
    Harmless(
        "apt that prefers another release",
        'echo \'APT::Default-Release "trixie"; APT::Get::Assume-No "true";\' >/etc/apt/apt.conf.d/99odd',
    ),
    Harmless(
        "apt that removes what nobody needs", "echo 'APT::Get::AutomaticRemove \"true\";' >/etc/apt/apt.conf.d/99auto"
    ),
    Harmless(
        "apt with pins that allow only one repository by name, and without installations",
        "printf 'Package: *\\nPin: release *\\nPin-Priority: -1\\n' >/etc/apt/preferences.d/odd; "
        'echo \'APT::Get::Download-Only "true"; APT::Get::Simulate "true";\' >/etc/apt/apt.conf.d/99pins',
    ),
    Harmless("a library that is gone in /etc/ld.so.preload", "echo /opt/none/libagent.so >/etc/ld.so.preload"),
    Harmless(
        "umask 0077 in sudoers", "printf 'Defaults umask=0077\\nDefaults umask_override\\n' >/etc/sudoers.d/umask"
    ),
)
