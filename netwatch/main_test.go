package netwatch_test

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/netwatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newNode returns a network namespace with the links e1 and e2 to another one.
func newNode(t *testing.T) *lab.Node {
	t.Helper()
	n, _ := newNodes(t)
	return n
}

// newNodes is newNode with the other one.
func newNodes(t *testing.T) (n, peer *lab.Node) {
	t.Helper()
	labtest.Need(t)
	w := lab.New(nil)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	n, err = w.NewNode("h")
	if err != nil {
		t.Fatal(err)
	}
	peer, err = w.NewNode("peer")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"e1", "e2"} {
		if err := w.Veth(lab.End{Node: n, Link: link}, lab.End{Node: peer, Link: link}, 1500); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the links are ready, link-local addresses included", func() bool { return linkLocals(read(t, n)) == 2 })
	return n, peer
}

// settle waits until no address is tentative.
func settle(t *testing.T, n *lab.Node) {
	t.Helper()
	eventually(t, "no address is tentative", func() bool {
		return !slices.ContainsFunc(read(t, n).Addresses, func(a netwatch.Address) bool { return a.Tentative })
	})
}

func linkLocals(st netwatch.State) (count int) {
	for _, a := range st.Addresses {
		if a.Prefix.Addr().IsLinkLocalUnicast() && !a.Tentative {
			count++
		}
	}
	return count
}

// enter returns a function that moves the calling goroutine, and its thread for
// good, into n.
func enter(t *testing.T, n *lab.Node) func() error {
	t.Helper()
	var ns *os.File
	err := n.Do(func() (err error) {
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return func() error {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
	}
}

// read returns the state of n.
func read(t *testing.T, n *lab.Node) (st netwatch.State) {
	t.Helper()
	err := n.Do(func() (err error) {
		st, err = netwatch.Read()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func index(t *testing.T, n *lab.Node, link string) int {
	t.Helper()
	i, err := n.LinkIndex(link)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

var must, eventually = labtest.Must, labtest.Eventually

// addForeign adds a rule that is not mifvif's to the calling thread's namespace.
func addForeign(r netwatch.Rule) error {
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Protocol, rule.Family = r.Priority, r.Table, uint8(r.Protocol), netlink.FAMILY_V4
	rule.Src = &net.IPNet{IP: r.Src.Addr().AsSlice(), Mask: net.CIDRMask(r.Src.Bits(), 32)}
	return netlink.RuleAdd(rule)
}
