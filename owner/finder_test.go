package owner

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mifvif/flow"
)

func finder(t *testing.T) *Finder {
	t.Helper()
	f, err := NewFinder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func addr(t *testing.T, a net.Addr) netip.AddrPort {
	t.Helper()
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return ap
}

// connection is one to a listener on an address of this host, for the time of a
// test.
func connection(tb testing.TB, host string) (l net.Listener, c net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	c, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return l, c
}

func TestTheSocketOfAFlowIsFound(t *testing.T) {
	f := finder(t)
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		l, c := connection(t, host)
		wild, err := net.ListenUDP("udp", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer wild.Close()
		connected, err := net.Dial("udp", host+":9")
		if err != nil {
			t.Fatal(err)
		}
		defer connected.Close()
		here := addr(t, l.Addr()).Addr()
		for name, fl := range map[string]flow.Flow{
			"tcp":           {Proto: flow.TCP, Src: addr(t, c.LocalAddr()), Dst: addr(t, c.RemoteAddr())},
			"udp wildcard":  {Proto: flow.UDP, Src: netip.AddrPortFrom(here, addr(t, wild.LocalAddr()).Port()), Dst: netip.AddrPortFrom(here, 9)},
			"udp connected": {Proto: flow.UDP, Src: addr(t, connected.LocalAddr()), Dst: addr(t, connected.RemoteAddr())},
		} {
			for range 2 { // asked, and remembered
				o := f.Find(fl, Want{Cgroup: true, Process: true})
				if !o.Known || int(o.UID) != os.Getuid() || o.PID != os.Getpid() || o.Process == "" {
					t.Errorf("%s %s: %+v, want this process", host, name, o)
				}
			}
			if o := f.Find(fl, Want{}); fl.Proto == flow.TCP && (o.PID != 0 || o.Cgroup != "") {
				t.Errorf("%s: %+v, want no more than the user", name, o)
			}
		}
	}
	nobody := flow.Flow{Proto: flow.TCP, Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("192.0.2.2:2")}
	if o := f.Find(nobody, Want{Process: true}); o != (flow.Owner{}) {
		t.Errorf("nobody's flow has the owner %+v", o)
	}
}

// TestTheGroupOfASocketIsFound runs a process in a cgroup of its own.
func TestTheGroupOfASocketIsFound(t *testing.T) {
	f := finder(t)
	if f.hierarchy.mount == "" || os.Getuid() != 0 {
		t.Skip("needs root and a mounted cgroup2 file system")
	}
	dir := filepath.Join(f.hierarchy.mount, "mifvif-test")
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		t.Skipf("no cgroup can be made here: %v", err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	// The shell joins the group before it opens the socket.
	cmd := exec.Command("bash", "-c", `echo $$ > "$0/cgroup.procs" && exec 3<>/dev/udp/127.0.0.1/9 && grep -l . /proc/self/net/udp >/dev/null; echo ready; read _`, dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Wait() }()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	table, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	for k := range table.sockets {
		if o, _ := table.Lookup(k.proto, k.local); o.PID == cmd.Process.Pid {
			fl := flow.Flow{Proto: flow.UDP, Src: k.local, Dst: netip.MustParseAddrPort("127.0.0.1:9")}
			got := f.Find(fl, Want{Cgroup: true, Process: true})
			if got.Cgroup != "/mifvif-test" || got.PID != cmd.Process.Pid || got.Process != "bash" {
				t.Errorf("found %+v, want bash in /mifvif-test", got)
			}
			return
		}
	}
	t.Fatal("the socket of the shell is not in the table")
}

func TestHierarchyIsReadFromMountinfo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mountinfo")
	lines := []string{
		"25 1 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs rw", "26 1 0:23 /sub /other rw shared:1 - cgroup2 cgroup2 rw",
		"27 1 0:23 / /sys/fs/cgroup/unified rw shared:2 - cgroup2 cgroup2 rw",
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if h := findHierarchy(path); h.mount != "/sys/fs/cgroup/unified" {
		t.Errorf("mounted at %q", h.mount)
	}
	if h := findHierarchy(path + ".absent"); h.path(1) != "" || h.members("/") != nil {
		t.Error("without a hierarchy nothing is known")
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(make([]byte, headerLen+messageLen+16))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = parse(b) })
}

func BenchmarkFind(b *testing.B) {
	f, err := NewFinder()
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	_, c := connection(b, "127.0.0.1")
	fl := flow.Flow{Proto: flow.TCP, Src: netip.MustParseAddrPort(c.LocalAddr().String()), Dst: netip.MustParseAddrPort(c.RemoteAddr().String())}
	for name, want := range map[string]Want{"user": {}, "process": {Process: true}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f.Find(fl, want)
			}
		})
	}
}
