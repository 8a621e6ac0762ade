"""Mount tables are read right, and the most specific mount decides."""

from pathlib import Path

from casemate.store import filesystem

MOUNTINFO = """\
23 28 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 23 0:45 / /mnt/with\\040space rw - nfs4 server:/export rw,vers=4.2
37 23 0:46 / /srv/far rw,nosuid shared:2 master:1 - fuse.sshfs me@host:/ rw
38 37 0:47 / /srv/far/local rw - btrfs /dev/vdb rw
39 23 0:48 / /data rw - ext4 /dev/vdc rw
40 23 0:49 / /data rw - cifs //nas/data rw
a line that is none
"""
LISTING = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
nas:/volume1/with (paren) on /Volumes/nas (nfs, nodev, nosuid, mounted by me)
//me@nas/share on /Volumes/share (smbfs, nodev, nosuid, mounted by me)
"""


def test_mountinfo_is_read_with_its_escapes():
    mounts = filesystem.read_mountinfo(MOUNTINFO)
    assert ("/mnt/with space", "nfs4") in mounts
    assert ("/srv/far", "fuse.sshfs") in mounts
    assert len(mounts) == 6


def test_the_listing_of_mount_is_read():
    assert filesystem.read_mount_listing(LISTING) == [
        ("/", "apfs"),
        ("/Volumes/nas", "nfs"),
        ("/Volumes/share", "smbfs"),
    ]


def test_the_innermost_and_latest_mount_decides(monkeypatch, tmp_path):
    mounts = filesystem.read_mountinfo(MOUNTINFO)
    for place, kind in {
        "/mnt/with space/x": "nfs4",
        "/srv/far": "fuse.sshfs",
        "/srv/far/local/.casemate": "btrfs",
        "/data/x": "cifs",
        "/srvlike": "ext4",
    }.items():
        assert filesystem._kind_at(Path(place), mounts) == kind


def test_a_local_folder_that_does_not_exist_yet_is_local(tmp_path):
    assert filesystem.network_kind(tmp_path / "not" / "yet") is None


def test_network_names_cover_what_mount_tables_say():
    assert {"nfs", "nfs4", "cifs", "smbfs", "fuse.sshfs", "lustre"} <= filesystem.NETWORK
    assert not {"ext4", "xfs", "btrfs", "apfs", "tmpfs", "overlay", "zfs"} & filesystem.NETWORK
