"""Becomes the program of a systemd unit, as its user and under its filter of system calls.

    /usr/bin/python3 confine.py UNIT-FILE

Where systemd would answer a call that the unit does not allow with an error, the program is killed
here, so that a test sees it. Needs Debian's python3-seccomp, and root.
"""
import ctypes
import grp
import os
import pwd
import re
import shlex
import subprocess
import sys

import seccomp

AF = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_VSOCK": 40}
AF_END = 46
EAFNOSUPPORT, EPERM = 97, 1
PROT_WRITE, PROT_EXEC = 2, 4
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38


def settings_of(path):
    out = {}
    for line in open(path):
        name, _, value = line.strip().partition("=")
        if value or name:
            out.setdefault(name, []).append(value)
    return out


def expand(words, seen=None):
    """The names of system calls; groups as systemd knows them."""
    out = set()
    for word in words:
        if not word.startswith("@"):
            out.add(word)
            continue
        text = subprocess.run(["systemd-analyze", "syscall-filter", word], stdout=subprocess.PIPE,
                              check=True).stdout.decode()
        out |= expand(re.findall(r"^ +(@?[a-z0-9_-]+)$", text, re.M))
    return out


def allowed(unit):
    names = expand(["@default"])
    for line in unit["SystemCallFilter"]:
        if line.startswith("~"):
            names -= expand(line[1:].split())
        else:
            names |= expand(line.split())
    return names


def filtered(unit):
    rules = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    for name in allowed(unit):
        try:
            if name not in ("socket", "mmap", "mprotect"):
                rules.add_rule(seccomp.ALLOW, name)
        except (RuntimeError, ValueError):
            pass  # of another kind of processor
    families = {AF[f] for f in unit["RestrictAddressFamilies"][0].split()}
    for family in range(AF_END):
        what = seccomp.ALLOW if family in families else seccomp.ERRNO(EAFNOSUPPORT)
        rules.add_rule(what, "socket", seccomp.Arg(0, seccomp.EQ, family))
    # MemoryDenyWriteExecute
    both = PROT_WRITE | PROT_EXEC
    for bits in (0, PROT_WRITE, PROT_EXEC):
        rules.add_rule(seccomp.ALLOW, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, bits))
    rules.add_rule(seccomp.ERRNO(EPERM), "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, both))
    rules.add_rule(seccomp.ALLOW, "mprotect", seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
    rules.add_rule(seccomp.ERRNO(EPERM), "mprotect",
                   seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, PROT_EXEC))
    return rules


def become(user, group):
    """Of no other group, and without a capability that it could ever have."""
    libc = ctypes.CDLL(None, use_errno=True)
    cap = 0
    while libc.prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0:
        cap += 1
    gid, uid = grp.getgrnam(group).gr_gid, pwd.getpwnam(user).pw_uid
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit("confine: no_new_privs is refused")


def main(path):
    unit = settings_of(path)
    rules = filtered(unit)
    os.umask(int(unit["UMask"][0], 8))
    os.chdir(unit["WorkingDirectory"][0].replace("%S", "/var/lib"))
    command = shlex.split(unit["ExecStart"][0])
    become(unit["User"][0], unit["Group"][0])
    rules.load()
    os.execv(command[0], command)


main(sys.argv[1])
