"""Which disks keep the time of a file's last change of any kind (ctime) as one can rely on it."""

import os
import re
import subprocess
from pathlib import Path

# Of network disks, FAT, NTFS and FUSE it may be the server's, another time, or new at each mount.
_RELIABLE = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "f2fs", "zfs", "tmpfs", "overlay", "apfs", "hfs", "ufs"}
)
_MOUNTS = Path(
    "/proc/self/mountinfo"
)  # Linux; its third field is the device, behind " - " the kind
_MAC_MOUNT = re.compile(r" on (?P<place>/.*) \((?P<kind>\w+)", re.MULTILINE)


def local_devices() -> frozenset[int]:
    """The devices (``st_dev``) of local disks that are mounted now; empty where one cannot tell."""
    try:
        if _MOUNTS.exists():
            return _linux(_MOUNTS.read_text(errors="replace"))
        listed = subprocess.run(["/sbin/mount"], capture_output=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    return _mac(listed.stdout.decode(errors="replace"))


def _linux(mounts: str) -> frozenset[int]:
    found = set()
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.split(" ")[0] in _RELIABLE:
            major, _, minor = fields.split()[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)


def _mac(mounts: str) -> frozenset[int]:
    found = set()
    for mount in _MAC_MOUNT.finditer(mounts):
        if mount["kind"] in _RELIABLE:  # no other is asked for: a server may not answer
            found.add(os.stat(mount["place"]).st_dev)  # noqa: PTH116
    return frozenset(found)
