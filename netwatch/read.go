package netwatch

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tables that matter to mifvif: the kernel's main table and its own.
const (
	mainTable  = 254
	firstTable = 64180
	lastTable  = 65300
)

// Read returns the state of the calling thread's network namespace. However much
// there is to read, others get the processor meanwhile.
func Read() (State, error) {
	var s State
	if err := s.read(all); err != nil {
		return State{}, err
	}
	return s, nil
}

// parts is a set of the parts of a State.
type parts uint8

const (
	addresses parts = 1 << iota
	routes4
	routes6
	rules
	firewall
	transforms
	links

	all    = addresses | routes | rules | firewall | transforms | links
	routes = routes4 | routes6
)

// read reads parts of a state anew. Addresses come first, for they say which routes
// matter. Links come last: a link that goes down meanwhile is seen down, whatever
// its routes were. Lists that others hold are not changed.
func (s *State) read(what parts) error {
	for _, one := range []struct {
		part parts
		read func(*State) error
	}{
		{addresses, readAddresses},
		{routes4, readRoutes4},
		{routes6, readRoutes6},
		{rules, readRules},
		{firewall, readFirewall},
		{transforms, readTransforms},
		{links, readLinks},
	} {
		if what&one.part == 0 {
			continue
		}
		if err := again(func() error { return one.read(s) }); err != nil {
			return err
		}
	}
	return nil
}

// again repeats a dump that a change interrupted. Where changes never stop, as
// in the table of a busy BGP speaker, the last dump is taken as it is: the
// change that interrupted it has rung the bell for the next reading.
func again(f func() error) error {
	var err error
	for range 5 {
		if err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil
	}
	return err
}

func readLinks(s *State) error {
	list, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list links: %w", err)
	}
	s.Links = nil
	for _, l := range list {
		a := l.Attrs()
		kind := l.Type()
		if kind == "device" {
			kind = ""
		}
		oper := a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown
		s.Links = append(s.Links, Link{
			Index: a.Index, Name: a.Name, Kind: kind, MTU: a.MTU,
			Up:           a.Flags&net.FlagUp != 0,
			Carrier:      a.RawFlags&unix.IFF_LOWER_UP != 0 && oper,
			Loopback:     a.Flags&net.FlagLoopback != 0,
			PointToPoint: a.RawFlags&unix.IFF_POINTOPOINT != 0 || a.RawFlags&unix.IFF_NOARP != 0 && a.RawFlags&unix.IFF_BROADCAST == 0,
			Wireless:     kind == "wlan",
		})
	}
	slices.SortFunc(s.Links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return err
}

// lifetime restates a lifetime of the kernel in steps of an hour, rounded up.
func lifetime(seconds int) time.Duration {
	switch {
	case uint32(seconds) == 0xffffffff:
		return Forever
	case seconds <= 0:
		return 0
	}
	return (time.Duration(seconds)*time.Second + time.Hour - 1).Truncate(time.Hour)
}

func readRules(s *State) error {
	s.Rules = nil
	var interrupted error
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RuleList(family)
		switch {
		case errors.Is(err, netlink.ErrDumpInterrupted):
			interrupted = fmt.Errorf("list rules: %w", err)
		case family == netlink.FAMILY_V6 && errors.Is(err, unix.EAFNOSUPPORT):
			continue
		case err != nil:
			return fmt.Errorf("list rules: %w", err)
		}
		for _, r := range list {
			s.Rules = append(s.Rules, rule(r, family == netlink.FAMILY_V6))
		}
	}
	slices.SortStableFunc(s.Rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Mark, b.Mark),
			comparePrefix(a.Src, b.Src), cmp.Compare(a.Iif, b.Iif), cmp.Compare(a.Oif, b.Oif))
	})
	return interrupted
}

func rule(r netlink.Rule, is6 bool) Rule {
	out := Rule{
		Priority: r.Priority, Is6: is6, Iif: r.IifName, Oif: r.OifName,
		Mark: r.Mark, Invert: r.Invert, Table: max(r.Table, 0), Spared: max(r.SuppressIfgroup, 0), Goto: max(r.Goto, 0), Protocol: int(r.Protocol),
	}
	if out.Table == 0 && r.Goto < 0 {
		out.Type = Unreachable // a rule that looks nothing up refuses
	}
	out.More = r.IPProto != 0 || r.Sport != nil || r.Dport != nil || r.UIDRange != nil || r.Tos != 0 || r.TunID != 0 || r.Flow >= 0 ||
		r.SuppressPrefixlen >= 0
	if r.Mask != nil {
		out.Mask = *r.Mask
	}
	out.Src = prefix(r.Src)
	out.Dst = prefix(r.Dst)
	return out
}

// prefix restates a net.IPNet, nil as the zero Prefix; host bits are kept.
func prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}
	}
	ones, bits := n.Mask.Size()
	if bits == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, ones)
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
