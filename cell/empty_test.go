package cell

import "testing"

func TestMarksAreFound(t *testing.T) {
	const (
		root = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		ours = "90 21 0:50 /resolvers/resolv.conf /etc/resolv.conf rw,nosuid shared:2 master:1 - tmpfs mifvif-7 rw,size=1024k\n"
	)
	for mounts, want := range map[string]bool{
		"": false, root: false, root + ours: true, ours + root: true, "broken": false,
		"90 21 0:50 / /mifvif-7 rw - tmpfs other rw\n": false, "90 21 0:50 / /x rw - tmpfs mifvif-70 rw\n": false,
		"90 21 0:50 / /x rw - fuse mifvif-7 rw\n": false,
	} {
		if got := marked(mounts, "mifvif-7"); got != want {
			t.Errorf("%q: %t, want %t", mounts, got, want)
		}
	}
}
