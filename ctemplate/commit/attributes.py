"""Who may read a file: its mode, owner and labels, kept from the old one or set."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from ctemplate.changes import Change, Step
from ctemplate.errors import FileError

LABELS = ("security.selinux", "system.posix_acl_access")
"""The extended attributes that decide who may read a file: kept from the old one."""
_NO_LABELS = {errno.EOPNOTSUPP, errno.ENODATA, errno.ENOSYS}


def owner_ids(change: Change) -> tuple[int, int]:
    """Return the user and group that were asked for as numbers, -1 for those that were not.

    Raises `FileError` if there is no such user or group.
    """
    user, group = change.user, change.group
    try:
        uid = pwd.getpwnam(user).pw_uid if isinstance(user, str) else user
        gid = grp.getgrnam(group).gr_gid if isinstance(group, str) else group
    except KeyError as error:
        raise FileError(Step.STAGE, change.template, f"{change.destination}: {error.args[0]}") from None
    return -1 if uid is None else uid, -1 if gid is None else gid


def dress(descriptor: int, path: Path, *, like: Path | None, change: Change | None) -> None:
    """Give an open file its owner, labels and mode; in this order, because each may take back part of the next."""
    old = None if like is None else like.stat()
    mode = 0o644 if change is None or not change.sensitive else 0o600
    uid, gid = (-1, -1) if change is None else owner_ids(change)
    if old is not None:
        mode = stat.S_IMODE(old.st_mode)
        uid, gid = (old.st_uid if uid == -1 else uid), (old.st_gid if gid == -1 else gid)
    if change is not None and change.mode is not None:
        mode = change.mode
    has = os.fstat(descriptor)
    if uid not in (-1, has.st_uid) or gid not in (-1, has.st_gid):
        try:
            os.chown(descriptor, uid, gid)
        except PermissionError as error:
            wanted = f"user {uid}, group {gid}".replace("-1", "any")
            raise PermissionError(error.errno, f"its owner ({wanted}) cannot be kept or set", str(path)) from error
    if like is not None:
        _copy_labels(like, descriptor)
    os.fchmod(descriptor, mode)


def _copy_labels(source: Path, descriptor: int) -> None:
    """Give the new file the old one's SELinux label and ACL, or none if that had none."""
    for name in LABELS:
        try:
            value: bytes | None = os.getxattr(source, name)
        except OSError as error:
            if error.errno not in _NO_LABELS:
                raise
            value = None
        try:
            if value is not None:
                os.setxattr(descriptor, name, value)
            elif name != "security.selinux":  # a label that a file was born with cannot be taken away
                os.removexattr(descriptor, name)
        except OSError as error:
            if error.errno not in _NO_LABELS:
                raise
