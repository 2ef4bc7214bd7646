package netwatch_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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

// TestSyncAddressesChangesNothingThatIsRight looks at what the kernel tells of: a
// change that changes nothing wakes everybody who listens, ourselves included.
func TestSyncAddressesChangesNothingThatIsRight(t *testing.T) {
	n := newNode(t)
	e1 := index(t, n, "e1")
	var want []netwatch.Address
	for _, p := range []string{"10.1.0.7/24", "10.1.0.8/32", "2001:db8:1::7/64"} {
		want = append(want, netwatch.Address{Ifindex: e1, Prefix: prefix(p), Valid: netwatch.Forever, Preferred: netwatch.Forever})
	}
	for _, p := range []string{"198.18.1.7/32", "2001:2:0:1::7/128"} {
		want = append(want, netwatch.Address{Ifindex: e1, Prefix: prefix(p), Valid: netwatch.Forever, Deprecated: true})
	}
	have := read(t, n).Addresses
	must(t, n.Do(func() error { return netwatch.SyncAddresses(have, want) }))
	settle(t, n)
	have = read(t, n).Addresses
	must(t, n.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		groups := uint32(unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
			return err
		}
		if err := netwatch.SyncAddresses(have, want); err != nil {
			return err
		}
		if _, _, err := unix.Recvfrom(fd, make([]byte, 4096), 0); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("a second sync of the same addresses was told of (%v)", err)
		}
		return nil
	}))
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
