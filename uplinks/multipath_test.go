package uplinks_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/lab/serve"
	"mifvif/pvd"
	"mifvif/uplinks"
)

const pathManager = "net/mptcp/pm_type"

// dialMultipath connects from the host with Multipath TCP over a domain first.
func (b *bench) dialMultipath(d *pvd.Domain, dst netip.AddrPort, tos uint8) (conn *uplinks.Multipath, err error) {
	err = b.Host.Do(func() (err error) {
		conn, err = b.set.DialMultipath(b.t.Context(), d, sourceOf(b.t, d, dst.Addr().Is6()), dst, tos)
		return err
	})
	return conn, err
}

// multipathBench is newBench on a kernel that has Multipath TCP.
func multipathBench(t *testing.T) *bench {
	t.Helper()
	if err := uplinks.HasMultipath(); err != nil {
		labtest.Missing(t, "Multipath TCP: "+err.Error())
	}
	return newBench(t, lab.TwoNetworks())
}

// subflows are how many of a connection's are connected.
func subflows(t *testing.T, c *uplinks.Multipath) []flow.Ends {
	t.Helper()
	connected, _, err := c.Subflows()
	must(t, err)
	return connected
}

// TestHandshakeOfASubflowCanBeEnded: nothing is sent there any more, which would be
// connected at some time.
func TestHandshakeOfASubflowCanBeEnded(t *testing.T) {
	b := multipathBench(t)
	b.apply()
	dst := netip.AddrPortFrom(lab.Public4(), lab.PortMultipath)
	conn, err := b.dialMultipath(b.domain("e1"), dst, 0)
	must(t, err)
	defer conn.Close()
	seen(t, conn)
	_, err = conn.Write([]byte("x"))
	must(t, err)
	other := b.domain("e2")
	source := sourceOf(t, other, false)
	must(t, b.Core.AddRoute(lab.Route{To: netip.PrefixFrom(source, 32), Kind: "blackhole"})) // no answer comes
	eventually(t, "the second subflow is begun", func() bool {
		return conn.Join(other, source, dst, false) == nil
	})
	connected, begun, err := conn.Subflows()
	if err != nil || len(connected) != 1 || len(begun) != 1 || !other.Owns(begun[0].Local.Addr()) || begun[0].Remote != dst {
		t.Fatalf("connected %v, begun %v, %v; want one of each", connected, begun, err)
	}
	must(t, conn.Leave(begun[0]))
	syn, err := b.Host.Capture("e2", func(r lab.Record) bool { return r.Out && r.Dst == dst.Addr() && r.DstPort == dst.Port() })
	must(t, err)
	defer syn.Close()
	time.Sleep(2500 * time.Millisecond) // a second SYN would come after one
	if n := len(syn.Records()); n > 0 {
		t.Errorf("%d packets were seen after it was left", n)
	}
	if connected, begun, err := conn.Subflows(); err != nil || len(connected) != 1 || len(begun) != 0 {
		t.Errorf("connected %v, begun %v, %v; want the first one", connected, begun, err)
	}
}

// TestFinishedConnectionNeedsNoSubflow: the kernel takes the subflows away when both
// sides have finished, and what has not been read waits.
func TestFinishedConnectionNeedsNoSubflow(t *testing.T) {
	const size = 32 << 10 // less than a socket holds
	b := multipathBench(t)
	b.apply()
	for _, server := range []netip.Addr{lab.Public4(), lab.Public6()} {
		conn, err := b.dialMultipath(b.domain("e1"), netip.AddrPortFrom(server, lab.PortMultipath+1), 0)
		must(t, err)
		defer conn.Close()
		if conn.Finished() {
			t.Error("finished before it began")
		}
		fmt.Fprintf(conn, "%d\n", size)
		must(t, conn.CloseWrite())
		eventually(t, "the kernel has taken the subflows", func() bool { return len(subflows(t, conn)) == 0 })
		if !conn.Finished() {
			t.Error("it is not finished although the server has sent all and knows all")
		}
		if n, err := io.Copy(&serve.Pattern{}, conn); err != nil || n != size {
			t.Errorf("read %d of %d bytes: %v", n, size, err)
		}
	}

	// The server has not got all: it needs one.
	conn, err := b.dialMultipath(b.domain("e1"), netip.AddrPortFrom(lab.Public4(), lab.PortMultipath+1), 0)
	must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "%d\n", size)
	if n, err := io.Copy(&serve.Pattern{}, conn); err != nil || n != size {
		t.Errorf("read %d of %d bytes: %v", n, size, err)
	}
	eventually(t, "the server has finished", conn.Finished)
	must(t, b.Unplug("n1"))
	_, err = conn.Write([]byte("x"))
	must(t, err)
	if conn.Finished() {
		t.Error("finished while something is on its way")
	}
}

func TestMultipathConnectionOutlivesItsDomain(t *testing.T) {
	const size = 64 << 20 // more than sockets hold: a server that has finished takes no subflow more
	b := multipathBench(t)
	b.apply()
	for _, server := range []netip.Addr{lab.Public4(), lab.Public6()} {
		t.Run(server.String(), func(t *testing.T) {
			dst := netip.AddrPortFrom(server, lab.PortMultipath+1)
			other, own := b.domain("e2"), sourceOf(t, b.domain("e1"), server.Is6())
			var seen [2]*lab.Capture
			for i, link := range []string{"e1", "e2"} {
				capture, err := b.Host.Capture(link, func(r lab.Record) bool { return r.Out && r.DstPort == dst.Port() })
				must(t, err)
				defer capture.Close()
				seen[i] = capture
			}
			conn, err := b.dialMultipath(b.domain("e1"), dst, 0)
			must(t, err)
			defer conn.Close()
			if !conn.Whole() {
				t.Fatal("the server has made it TCP")
			}
			if err := conn.Join(other, sourceOf(t, other, server.Is6()), dst, false); !errors.Is(err, unix.ENOTCONN) {
				t.Errorf("a subflow before the server has said anything: %v, want ENOTCONN", err)
			}
			fmt.Fprintf(conn, "%d\n", size)
			check := &serve.Pattern{}
			_, err = io.CopyN(check, conn, size/4)
			must(t, err)
			must(t, conn.Join(other, sourceOf(t, other, server.Is6()), dst, false))
			eventually(t, "the second subflow is connected", func() bool { return len(subflows(t, conn)) == 2 })
			_, err = io.CopyN(check, conn, size/4)
			must(t, err)
			must(t, b.Unplug("n1"))
			defer func() { must(t, b.Plug("n1")) }()
			i := slices.IndexFunc(subflows(t, conn), func(e flow.Ends) bool { return e.Local.Addr() == own })
			must(t, conn.Leave(subflows(t, conn)[i]))
			must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
			if n, err := io.Copy(check, io.LimitReader(conn, size/2)); err != nil || n != size/2 {
				t.Fatalf("after %d of %d bytes: %v", n, size/2, err)
			}
			if left := subflows(t, conn); len(left) != 1 || !other.Owns(left[0].Local.Addr()) {
				t.Errorf("subflows %v, want the one over e2", left)
			}
			for i, link := range []string{"e1", "e2"} {
				records := seen[i].Records()
				for _, r := range records {
					if !b.domain(link).Owns(r.Src) {
						t.Errorf("on %s: %v", link, r)
					}
				}
				if len(records) == 0 {
					t.Errorf("nothing was seen on %s", link)
				}
			}
		})
	}
}

func TestMultipathBecomesTCPWhereTheServerKnowsNoBetter(t *testing.T) {
	b := multipathBench(t)
	b.apply()
	conn, err := b.dialMultipath(b.domain("e2"), netip.AddrPortFrom(lab.Public4(), lab.PortEcho), 0xb8)
	must(t, err)
	defer conn.Close()
	if conn.Whole() {
		t.Error("a server of plain TCP has answered with Multipath TCP")
	}
	if src, network := seen(t, conn); network != "n2" || !b.domain("e2").Owns(src) {
		t.Errorf("the server saw %v of %s", src, network)
	}
}

// TestMultipathKeepsTheCodePoint, on every subflow; where the kernel cannot, as Linux
// 6.18 with IPv6, it is said rather than left out.
func TestMultipathKeepsTheCodePoint(t *testing.T) {
	b := multipathBench(t)
	b.apply()
	for _, server := range []netip.Addr{lab.Public4(), lab.Public6()} {
		dst := netip.AddrPortFrom(server, lab.PortMultipath)
		conn, err := b.dialMultipath(b.domain("e1"), dst, 0xb8)
		if server.Is6() && errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		must(t, err)
		defer conn.Close()
		seen(t, conn)
		other, err := b.Host.Capture("e2", func(r lab.Record) bool { return r.Out && r.DstPort == dst.Port() })
		must(t, err)
		defer other.Close()
		_, err = conn.Write([]byte("x"))
		must(t, err)
		eventually(t, "the second subflow is begun", func() bool {
			return conn.Join(b.domain("e2"), sourceOf(t, b.domain("e2"), server.Is6()), dst, false) == nil
		})
		eventually(t, "the second subflow is connected", func() bool { return len(subflows(t, conn)) == 2 })
		for _, r := range other.Records() {
			if r.TOS != 0xb8 {
				t.Errorf("on e2: %v", r)
			}
		}
	}
}

// TestMultipathConnectionIsResetForTheServerToo: MP_FASTCLOSE (RFC 8684 3.5).
func TestMultipathConnectionIsResetForTheServerToo(t *testing.T) {
	b := multipathBench(t)
	b.apply()
	at := netip.AddrPortFrom(lab.Public4(), 7777)
	l, err := b.Core.ListenMultipath(at)
	must(t, err)
	defer l.Close()
	conn, err := b.dialMultipath(b.domain("e1"), at, 0)
	must(t, err)
	server, err := l.Accept()
	must(t, err)
	defer server.Close()
	_, err = conn.Write([]byte("x"))
	must(t, err)
	must(t, conn.SetLinger(0))
	must(t, conn.Close())
	must(t, server.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.ReadAll(server); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the server reads %v, want a reset", err)
	}
}

// TestSubflowsAreOursToMakeOnlyWhileNeeded: net.mptcp.pm_type is the whole
// namespace's.
func TestSubflowsAreOursToMakeOnlyWhileNeeded(t *testing.T) {
	b := multipathBench(t)
	b.apply()
	manager := func(want string) {
		t.Helper()
		if got, err := b.Host.Sysctl(pathManager); err != nil || got != want {
			t.Errorf("net.mptcp.pm_type is %q (%v), want %s", got, err, want)
		}
	}
	need := func(needed bool) (err error) {
		must(t, b.Host.Do(func() error { err = b.set.Multipath(needed); return nil }))
		return err
	}
	must(t, need(false))
	manager("0")
	must(t, need(true))
	manager("1")
	must(t, b.Host.SetSysctl(pathManager, "0"))
	must(t, need(true))
	manager("1") // repaired
	must(t, need(false))
	manager("0")

	// A connection needs it as long as it lives.
	conn, err := b.dialMultipath(b.domain("e1"), netip.AddrPortFrom(lab.Public4(), lab.PortMultipath), 0)
	must(t, err)
	must(t, need(false))
	manager("1")
	must(t, conn.Close())
	must(t, need(false))
	manager("0")

	// What a killed run has left is ours.
	must(t, need(true))
	b.set = b.newSet()
	b.apply()
	must(t, need(true))
	manager("1")
	must(t, need(false))
	manager("0")
	must(t, need(true))
	must(t, b.Host.Do(b.set.Remove))
	manager("0")
	if _, err := os.Stat(b.undo); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the undo record is still there: %v", err)
	}
}

func TestMultipathIsLeftToOthersWhoHaveIt(t *testing.T) {
	b := multipathBench(t)
	b.apply()
	unable := func(what, manager string) {
		t.Helper()
		for _, needed := range []bool{true, false} {
			var err error
			must(t, b.Host.Do(func() error { err = b.set.Multipath(needed); return nil }))
			if needed && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v, want that it cannot be used", what, err)
			}
		}
		_, err := b.dialMultipath(b.domain("e1"), netip.AddrPortFrom(lab.Public4(), lab.PortMultipath), 0)
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: dialed with %v", what, err)
		}
		if got, err := b.Host.Sysctl(pathManager); err != nil || got != manager {
			t.Errorf("%s: net.mptcp.pm_type is %q (%v), want %s", what, got, err, manager)
		}
	}
	must(t, b.Host.SetSysctl("net/mptcp/enabled", "0"))
	unable("switched off", "0")
	must(t, b.Host.SetSysctl("net/mptcp/enabled", "1"))

	must(t, b.Host.SetSysctl(pathManager, "1"))
	unable("another path manager", "1")
	must(t, b.Host.SetSysctl(pathManager, "0"))

	endpoint := func(args ...string) {
		t.Helper()
		exit, err := b.Host.Exec(t.Context(), "ip", append([]string{"mptcp", "endpoint"}, args...)...)
		must(t, err)
		if exit.Code != 0 {
			t.Fatalf("ip mptcp endpoint %v: %s", args, exit.Stderr)
		}
	}
	endpoint("add", "10.2.0.2", "dev", "e2", "subflow")
	unable("the kernel's own", "0")
	endpoint("flush")
	must(t, b.Host.Do(func() error { return b.set.Multipath(true) }))
	must(t, b.Host.Do(b.set.Remove))
}

// TestMultipathNeedsASourceOfOneLink: packets from an address that is on two links
// are routed by mark only.
func TestMultipathNeedsASourceOfOneLink(t *testing.T) {
	b := multipathBench(t)
	must(t, b.Host.AddAddress("e2", prefix("10.1.0.2/32")))
	b.apply()
	_, err := b.dialMultipath(b.domain("e1"), netip.AddrPortFrom(lab.Public4(), lab.PortMultipath), 0)
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("dialed with %v, want that it cannot be used", err)
	}
}
