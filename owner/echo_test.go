package owner

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"mifvif/flow"
)

func TestParseLine(t *testing.T) {
	tests := []struct {
		line  string
		want  socket
		local string // "" if it is no socket
	}{
		{"   1: 0100007F:04D2 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0000000000000000 0", socket{uid: 1000, inode: 4711}, "127.0.0.1:1234"},
		{"  58: 00000000000000000000000001000000:003A 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0 0", socket{inode: 99}, "[::1]:58"},
		{"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops", socket{}, ""},
		{"1: 0100007F:04D2", socket{}, ""},
		{"1: 0100007F04D2 x x x x x 0 0 1 2", socket{}, ""},
		{"1: 0100007:04D2 x x x x x 0 0 1 2", socket{}, ""},
		{"1: 0100007FAA:04D2 x x x x x 0 0 1 2", socket{}, ""},
		{"1: 0100007F:104D2 x x x x x 0 0 1 2", socket{}, ""},
		{"1: 0100007F:04D2 x x x x x -1 0 1 2", socket{}, ""},
		{"", socket{}, ""},
	}
	for _, tt := range tests {
		s, local, ok := parseLine([]byte(tt.line))
		switch {
		case ok != (tt.local != ""):
			t.Errorf("%q: taken %t", tt.line, ok)
		case ok && (s != tt.want || local.String() != tt.local):
			t.Errorf("%q: %+v at %s, want %+v at %s", tt.line, s, local, tt.want, tt.local)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte("   1: 0100007F:04D2 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if _, local, ok := parseLine(line); ok && !local.IsValid() {
			t.Errorf("%q has no address", line)
		}
	})
}

// TestTheSocketOfAPingIsFound has raw sockets of users beside one another.
func TestTheSocketOfAPingIsFound(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for raw sockets")
	}
	f := finder(t)
	for _, c := range []struct {
		family, proto int
		kind          flow.Proto
		src, dst      string
	}{{unix.AF_INET, unix.IPPROTO_ICMP, flow.ICMP, "127.0.0.1:77", "127.0.0.2:0"}, {unix.AF_INET6, unix.IPPROTO_ICMPV6, flow.ICMPv6, "[::1]:77", "[::1]:0"}} {
		fl := flow.Flow{Proto: c.kind, Src: netip.MustParseAddrPort(c.src), Dst: netip.MustParseAddrPort(c.dst)}
		first := rawSocket(t, c.family, c.proto, 0)
		if o := f.Find(fl, Want{Process: true}); !o.Known || o.UID != 0 || o.PID != os.Getpid() {
			t.Errorf("%s: %+v, want this process", c.src, o)
		}
		unix.Close(first)
		second := rawSocket(t, c.family, c.proto, 1234)
		if o := f.Find(fl, Want{}); !o.Known || o.UID != 1234 {
			t.Errorf("%s: %+v, want user 1234", c.src, o)
		}
		third := rawSocket(t, c.family, c.proto, 1235)
		fl.Src = netip.AddrPortFrom(fl.Src.Addr(), 78) // the other is remembered for a moment
		if o := f.Find(fl, Want{}); o.UID != 1235 {
			t.Errorf("%s of two users: %+v, want the one who came last", c.src, o)
		}
		Disown(third)
		fl.Src = netip.AddrPortFrom(fl.Src.Addr(), 79)
		if o := f.Find(fl, Want{}); o.UID != 1234 {
			t.Errorf("%s beside one of the house's: %+v, want user 1234", c.src, o)
		}
		unix.Close(second)
		unix.Close(third)
	}
}

// rawSocket makes a raw socket of a user's.
func rawSocket(t *testing.T, family, proto, uid int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Fchown(fd, uid, -1); err != nil {
		t.Fatal(err)
	}
	return fd
}
