package netwatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"mifvif/lab"
	"mifvif/netwatch"
)

// global returns the addresses of a link with global scope.
func global(t *testing.T, n *lab.Node, ifindex int) []netwatch.Address {
	t.Helper()
	return slices.DeleteFunc(read(t, n).Addresses, func(a netwatch.Address) bool { return a.Ifindex != ifindex || !a.Global })
}

func TestSyncAddressesArrivesAndLeavesOthersAlone(t *testing.T) {
	n := newNode(t)
	link, err := n.Netlink().LinkByName("e1")
	must(t, err)
	e1 := link.Attrs().Index
	must(t, n.Netlink().AddrAdd(link, &netlink.Addr{IPNet: host("192.0.2.2/24")}))
	sync := func(want ...netwatch.Address) {
		t.Helper()
		have := read(t, n).Addresses
		must(t, n.Do(func() error { return netwatch.SyncAddresses(have, want) }))
		settle(t, n)
	}
	const forever, ours = netwatch.Forever, netwatch.Protocol
	foreign := netwatch.Address{Ifindex: e1, Prefix: prefix("192.0.2.2/24"), Global: true, Valid: forever, Preferred: forever}
	lease := netwatch.Address{Ifindex: e1, Prefix: prefix("10.1.0.7/24"), Valid: 10 * time.Minute, Preferred: 10 * time.Minute}
	nested := netwatch.Address{Ifindex: e1, Prefix: prefix("2001:db8:1::7/64"), Valid: forever, Preferred: forever}
	old := netwatch.Address{Ifindex: e1, Prefix: prefix("2001:db8:2::7/64"), Valid: forever, Deprecated: true}
	said := func(a netwatch.Address) netwatch.Address {
		a.Global, a.Protocol = true, ours
		if a.Valid == 10*time.Minute {
			a.Valid, a.Preferred = time.Hour, time.Hour // as a state says it
		}
		return a
	}
	for _, step := range []struct {
		title string
		want  []netwatch.Address
		is    []netwatch.Address
	}{
		{"added", []netwatch.Address{lease, nested, old, foreign}, []netwatch.Address{said(lease), foreign, said(nested), said(old)}},
		{"again", []netwatch.Address{lease, nested, old}, []netwatch.Address{said(lease), foreign, said(nested), said(old)}},
		{"one less", []netwatch.Address{nested}, []netwatch.Address{foreign, said(nested)}},
		{"none", nil, []netwatch.Address{foreign}},
	} {
		sync(step.want...)
		if diff := cmp.Diff(step.is, global(t, n, e1), byValue); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.title, diff)
		}
	}
}

func TestSyncAddressesSetsLifetimesAnew(t *testing.T) {
	n := newNode(t)
	e1 := index(t, n, "e1")
	a := netwatch.Address{Ifindex: e1, Prefix: prefix("10.1.0.7/24")}
	for _, valid := range []time.Duration{10 * time.Minute, 5 * time.Hour, netwatch.Forever} {
		a.Valid, a.Preferred = valid, valid
		have := read(t, n).Addresses
		must(t, n.Do(func() error { return netwatch.SyncAddresses(have, []netwatch.Address{a}) }))
		got := global(t, n, e1)
		if want := max(valid, time.Hour); len(got) != 1 || valid != netwatch.Forever && got[0].Valid != want || valid == netwatch.Forever && got[0].Valid != valid {
			t.Errorf("after %v: %+v", valid, got)
		}
	}
	a.Prefix = prefix("10.1.0.7/16")
	have := read(t, n).Addresses
	must(t, n.Do(func() error { return netwatch.SyncAddresses(have, []netwatch.Address{a}) }))
	if got := global(t, n, e1); len(got) != 1 || got[0].Prefix != a.Prefix {
		t.Errorf("after another prefix length: %+v", got)
	}
	a.Ifindex = 4711
	must(t, n.Do(func() error { return netwatch.SyncAddresses(nil, []netwatch.Address{a}) }))
}
