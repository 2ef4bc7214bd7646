package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// fetch downloads count bytes of the pattern from the core and checks them.
func fetch(t *testing.T, c *lab.Common, count int64) int64 {
	t.Helper()
	conn, err := c.Host.DialTCP(t.Context(), netip.AddrPortFrom(lab.Public4(), lab.PortSource), lab.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "%d\n", count)
	got, err := io.Copy(&serve.Pattern{}, conn)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestNodeHasItsOwnFilesAndNetwork(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	exit, err := c.Host.Exec(t.Context(), "sh", "-c", "cat /etc/resolv.conf; ls /sys/class/net; ls /run; echo new > /etc/resolv.conf; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	want := "nameserver 10.1.0.53\nnameserver 10.2.0.53\ne1\ne2\nlo\nmifvif\nmifvif-ca.pem\n"
	if got := strings.Replace(exit.Stdout, "resolv.conf.node\n", "", 1); exit.Code != 3 || got != want {
		t.Errorf("got %v, want %q and exit 3", exit, want)
	}
	if content, err := c.Host.ReadFile("/etc/resolv.conf"); err != nil || string(content) != "new\n" {
		t.Errorf("the node's resolv.conf is %q, %v", content, err)
	}
	after, err := os.ReadFile("/etc/resolv.conf")
	if err != nil || string(after) != string(before) {
		t.Errorf("the machine's resolv.conf changed to %q, %v", after, err)
	}
}

func TestDialTellsTheTruth(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	for _, tc := range []struct {
		dst  netip.AddrPort
		want error
	}{
		{netip.AddrPortFrom(lab.Public4(), lab.PortClosed), syscall.ECONNREFUSED},
		{netip.AddrPortFrom(lab.Public6(), lab.PortClosed), syscall.ECONNREFUSED},
		{netip.AddrPortFrom(lab.Prohibited4(), 7), syscall.EHOSTUNREACH},
		{netip.AddrPortFrom(lab.Unreachable4(), 7), syscall.EHOSTUNREACH},
		{netip.AddrPortFrom(lab.Prohibited6(), 7), syscall.EACCES},
		{netip.AddrPortFrom(lab.Unreachable6(), 7), syscall.ENETUNREACH},
		{netip.AddrPortFrom(lab.Silent4(), 7), os.ErrDeadlineExceeded},
		{netip.AddrPortFrom(lab.Silent6(), 7), os.ErrDeadlineExceeded},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		conn, err := c.Host.DialTCP(ctx, tc.dst, lab.SocketOptions{})
		cancel()
		if conn != nil {
			conn.Close()
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("connect to %v: %v, want %v", tc.dst, err, tc.want)
		}
	}
}

func TestEdgeDropsForeignSources(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	for _, tc := range []struct{ src, dst netip.Addr }{
		{c.Network("n2").Host4(), lab.Public4()},
		{c.Network("n2").Host6(), lab.Public6()},
	} {
		conn, err := c.Host.DialUDP(netip.AddrPortFrom(tc.dst, lab.PortEcho),
			lab.SocketOptions{Source: netip.AddrPortFrom(tc.src, 0)})
		if err != nil {
			t.Fatal(err)
		}
		before, err := c.Dropped38()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("x"))
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 100)); err == nil {
			t.Errorf("got %d bytes although %v is not n1's", n, tc.src)
		}
		after, err := c.Dropped38()
		if err != nil {
			t.Fatal(err)
		}
		if after["n1"] != before["n1"]+1 || after["n2"] != 0 {
			t.Errorf("drop38 went from %v to %v, want one more at n1", before, after)
		}
		conn.Close()
	}
}

func TestCaptureSeesTOSAndDirection(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	for _, dst := range []netip.Addr{lab.Public4(), lab.Public6()} {
		capture, err := c.Host.Capture("e1", func(r lab.Record) bool { return r.Proto == 17 })
		if err != nil {
			t.Fatal(err)
		}
		conn, err := c.Host.DialUDP(netip.AddrPortFrom(dst, lab.PortEcho), lab.SocketOptions{TOS: 46 << 2, TTL: 9})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte("x"))
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		for range 500 {
			if capture.Matched() == 2 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		capture.Close()
		all := capture.Records()
		if len(all) != 2 {
			t.Fatalf("%d records: %v", len(all), all)
		}
		if r := all[0]; !r.Out || r.TOS != 46<<2 || r.TTL != 9 || r.Dst != dst || r.DstPort != lab.PortEcho {
			t.Errorf("first record is %v", r)
		}
		if r := all[1]; r.Out || r.Src != dst || r.SrcPort != lab.PortEcho {
			t.Errorf("second record is %v", r)
		}
	}
}

func TestSnapshotShowsWhatChanged(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	before, err := c.Host.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Host.Snapshot()
	if err != nil || len(before.Differences(again)) != 0 {
		t.Fatalf("two snapshots differ: %v, %v", before.Differences(again), err)
	}
	for _, script := range []string{
		"ip rule add from 10.9.9.9 lookup 99", "ip route add 10.99.0.0/16 via 10.1.0.1 table 99",
		"nft add table inet x", "echo 1 > /proc/sys/net/ipv4/conf/e1/arp_ignore", "echo x > /etc/resolv.conf",
	} {
		exit, err := c.Host.ExecCmd(t.Context(), exec.Command("sh", "-c", script))
		if err != nil || exit.Code != 0 {
			t.Skipf("%s: %v %v", script, exit, err)
		}
		after, err := c.Host.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if len(before.Differences(after)) == 0 {
			t.Errorf("%q does not show", script)
		}
		before = after
	}
}

// TestTheMachinesConfigurationIsNotTheLaboratorys: a daemon in a node reads and
// changes none of it.
func TestTheMachinesConfigurationIsNotTheLaboratorys(t *testing.T) {
	const dir = "/etc/mifvif"
	before, err := os.Stat(dir)
	if err != nil {
		t.Skip("the machine has no configuration of mifvif's")
	}
	c := newCommon(t, lab.TwoNetworks())
	var inside os.FileInfo
	if err := c.Host.Do(func() (err error) { inside, err = os.Stat(dir); return err }); err != nil {
		t.Fatal(err)
	}
	if os.SameFile(before, inside) {
		t.Errorf("a node has the machine's %s", dir)
	}
}
