package host

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"mifvif/netwatch/bus"
)

const (
	resolvedName    = "org.freedesktop.resolve1"
	resolvedPath    = "/org/freedesktop/resolve1"
	resolvedManager = "org.freedesktop.resolve1.Manager"
	resolvedLink    = "org.freedesktop.resolve1.Link"
	getProperty     = "org.freedesktop.DBus.Properties.Get"
)

// linkServer is one entry of resolved's a(iay).
type linkServer struct {
	Family  int32
	Address []byte
}

// anyServer is one entry of resolved's a(iiay): a linkServer with its interface.
type anyServer struct {
	Ifindex int32
	Family  int32
	Address []byte
}

// routingDomain is one entry of resolved's a(sb).
type routingDomain struct {
	Name        string
	RoutingOnly bool
}

// resolved is a connection to systemd-resolved. Safe for concurrent use.
type resolved struct{ conn *dbus.Conn }

// dialResolved connects to the resolved that runs and serves our network
// namespace: its interface numbers mean nothing in any other.
func dialResolved(ctx context.Context, address string) (*resolved, error) {
	conn, err := bus.Connect(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	if _, err := bus.Owner(ctx, conn, resolvedName); err != nil {
		conn.Close()
		return nil, err
	}
	return &resolved{conn}, nil
}

// close ends the connection.
func (r *resolved) close() { _ = r.conn.Close() }

// point makes our interface the one that every name is asked on: "~." is a
// routing domain that holds all names no other link claims more closely.
func (r *resolved) point(ctx context.Context, ifindex int, servers []netip.Addr) error {
	list := make([]linkServer, 0, len(servers))
	for _, s := range servers {
		list = append(list, linkServer{family(s), s.AsSlice()})
	}
	steps := []struct {
		method   string
		argument any
		optional bool // older versions do not know it
	}{
		{"SetLinkDNSOverTLS", "no", true},
		{"SetLinkLLMNR", "no", true},
		{"SetLinkMulticastDNS", "no", true},
		{"SetLinkDNS", list, false},
		{"SetLinkDefaultRoute", true, true},
		{"SetLinkDomains", []routingDomain{{".", true}}, false},
	}
	for _, s := range steps {
		if err := r.call(ctx, s.method, int32(ifindex), s.argument); err != nil && !s.optional {
			return fmt.Errorf("tell systemd-resolved: %w", err)
		}
	}
	return nil
}

// revert takes back what point said.
func (r *resolved) revert(ctx context.Context, ifindex int) error {
	if err := r.call(ctx, "RevertLink", int32(ifindex)); err != nil {
		return fmt.Errorf("tell systemd-resolved: %w", err)
	}
	return nil
}

// call calls a method of the manager without starting the service.
func (r *resolved) call(ctx context.Context, method string, args ...any) error {
	return r.manager().CallWithContext(ctx, resolvedManager+"."+method, dbus.FlagNoAutoStart, args...).Err
}

func (r *resolved) manager() dbus.BusObject { return r.conn.Object(resolvedName, resolvedPath) }

// pointed reports whether our interface still has just our servers.
func (r *resolved) pointed(ctx context.Context, ifindex int, servers []netip.Addr) (bool, error) {
	got, err := r.linkServers(ctx, ifindex)
	return slices.Equal(got, servers), err
}

// linkServers returns the servers of one interface.
func (r *resolved) linkServers(ctx context.Context, ifindex int) ([]netip.Addr, error) {
	var path dbus.ObjectPath
	err := r.manager().CallWithContext(ctx, resolvedManager+".GetLink", dbus.FlagNoAutoStart, int32(ifindex)).Store(&path)
	if err != nil {
		return nil, fmt.Errorf("ask systemd-resolved for interface %d: %w", ifindex, err)
	}
	var list []linkServer
	if err := r.property(ctx, r.conn.Object(resolvedName, path), resolvedLink, &list); err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, s := range list {
		out = appendServer(out, s.Address, ifindex)
	}
	return out, nil
}

// allServers returns the servers of every interface; those of interface 0 are
// the host's general ones.
func (r *resolved) allServers(ctx context.Context) (map[int][]netip.Addr, error) {
	var list []anyServer
	if err := r.property(ctx, r.manager(), resolvedManager, &list); err != nil {
		return nil, err
	}
	out := make(map[int][]netip.Addr)
	for _, s := range list {
		i := int(s.Ifindex)
		out[i] = appendServer(out[i], s.Address, i)
	}
	return out, nil
}

// property stores the DNS property of an object in list.
func (r *resolved) property(ctx context.Context, o dbus.BusObject, iface string, list any) error {
	var v dbus.Variant
	if err := o.CallWithContext(ctx, getProperty, dbus.FlagNoAutoStart, iface, "DNS").Store(&v); err != nil {
		return fmt.Errorf("ask systemd-resolved for servers: %w", err)
	}
	if err := v.Store(list); err != nil {
		return fmt.Errorf("understand systemd-resolved's servers: %w", err)
	}
	return nil
}

// appendServer adds an address; a link-local one gets its interface as zone.
func appendServer(list []netip.Addr, raw []byte, ifindex int) []netip.Addr {
	a, ok := netip.AddrFromSlice(raw)
	if !ok || len(list) == maxServers {
		return list
	}
	a = a.Unmap()
	if a.Is6() && a.IsLinkLocalUnicast() && ifindex > 0 {
		a = a.WithZone(strconv.Itoa(ifindex))
	}
	return append(list, a)
}

func family(a netip.Addr) int32 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
