package owner

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/lab/labtest"
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

// TestTheSocketOfAPingIsFound has raw sockets of users beside one another, and nobody
// else's.
func TestTheSocketOfAPingIsFound(t *testing.T) {
	labtest.InNamespace(t, func() {
		f := finder(t)
		theSocketOfAPing(t, f, unix.AF_INET, unix.IPPROTO_ICMP, flow.Flow{Proto: flow.ICMP, Src: netip.MustParseAddrPort("127.0.0.1:77"), Dst: netip.MustParseAddrPort("127.0.0.2:0")})
		theSocketOfAPing(t, f, unix.AF_INET6, unix.IPPROTO_ICMPV6, flow.Flow{Proto: flow.ICMPv6, Src: netip.MustParseAddrPort("[::1]:77"), Dst: netip.MustParseAddrPort("[::1]:0")})
	})
}

func theSocketOfAPing(t *testing.T, f *Finder, family, proto int, fl flow.Flow) {
	t.Helper()
	first := rawSocket(t, family, proto, 0)
	if o := f.Find(fl, Want{Process: true}); !o.Known || o.UID != 0 || o.PID != os.Getpid() {
		t.Errorf("%v: %+v, want this process", fl, o)
	}
	unix.Close(first)
	second := rawSocket(t, family, proto, 1234)
	if o := f.Find(fl, Want{}); !o.Known || o.UID != 1234 {
		t.Errorf("%v: %+v, want user 1234", fl, o)
	}
	third := rawSocket(t, family, proto, 1235)
	fl.Src = netip.AddrPortFrom(fl.Src.Addr(), 78) // the other is remembered for a moment
	if o := f.Find(fl, Want{}); o.UID != 1235 {
		t.Errorf("%v of two users: %+v, want the one who came last", fl, o)
	}
	Disown(third)
	fl.Src = netip.AddrPortFrom(fl.Src.Addr(), 79)
	if o := f.Find(fl, Want{}); o.UID != 1234 {
		t.Errorf("%v beside one of the house's: %+v, want user 1234", fl, o)
	}
	unix.Close(second)
	unix.Close(third)
}

// rawSocket makes a raw socket of a user's.
func rawSocket(t *testing.T, family, proto, uid int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err == nil {
		err = unix.Fchown(fd, uid, -1)
	}
	if err != nil {
		t.Error(err)
	}
	return fd
}
