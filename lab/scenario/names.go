package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mifvif/lab"
)

// stubPatience is how long an app's stub resolver waits for one server.
const stubPatience = 5 * time.Second

// Resolve asks as an app's stub resolver does: the servers of /etc/resolv.conf in
// order, the next one when a server is silent or fails.
func (e *Env) Resolve(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	conf, err := e.App.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	err = errors.New("there is no server in resolv.conf")
	for line := range strings.Lines(string(conf)) {
		server, ok := strings.CutPrefix(strings.TrimSpace(line), "nameserver ")
		if !ok {
			continue
		}
		var addr netip.Addr
		if addr, err = netip.ParseAddr(server); err != nil {
			return nil, err
		}
		var m *dns.Msg
		if m, err = e.askServer(ctx, addr, q); err == nil && m.Rcode != dns.RcodeServerFailure {
			return m, nil
		}
		if err == nil {
			err = errServerFailure
		}
	}
	return nil, fmt.Errorf("resolve %s: %w", name, err)
}

// errServerFailure says that the last server answered SERVFAIL.
var errServerFailure = errors.New("SERVFAIL") //nolint:gochecknoglobals // never changed

func (e *Env) askServer(_ context.Context, server netip.Addr, q *dns.Msg) (*dns.Msg, error) {
	conn, err := e.App.DialUDP(netip.AddrPortFrom(server, 53), lab.SocketOptions{})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := dns.Client{Timeout: stubPatience}
	m, _, err := client.ExchangeWithConn(q.Copy(), &dns.Conn{Conn: conn})
	return m, err
}

// Address returns the one address a name has.
func (e *Env) Address(ctx context.Context, name string) (netip.Addr, error) {
	m, err := e.Resolve(ctx, name, dns.TypeA)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A.To4())
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address: %s", name, dns.RcodeToString[m.Rcode])
}

// Fetch resolves a name and talks TCP to the echo peer there: the network that
// answered must be the one that is wanted.
func (e *Env) Fetch(ctx context.Context, name, network string) error {
	addr, err := e.Address(ctx, name)
	if err != nil {
		return err
	}
	t, err := e.Ask(ctx, netip.AddrPortFrom(addr, lab.PortEcho), lab.SocketOptions{})
	if err != nil {
		return fmt.Errorf("%s at %v: %w", name, addr, err)
	}
	if t.Network != network {
		return fmt.Errorf("%s at %v answered from %q, want %q", name, addr, t.Network, network)
	}
	return nil
}

// FetchUDP is Fetch with a datagram.
func (e *Env) FetchUDP(ctx context.Context, name, network string) error {
	addr, err := e.Address(ctx, name)
	if err != nil {
		return err
	}
	t, err := e.AskUDP(netip.AddrPortFrom(addr, lab.PortEcho), lab.SocketOptions{})
	if err == nil && t.Network != network {
		err = fmt.Errorf("%s at %v answered from %q by UDP, want %q", name, addr, t.Network, network)
	}
	return err
}

// OnlyAsked returns an error if the resolver of another network than the one
// named was ever asked about a name that has the suffix; "" means by nobody.
func (e *Env) OnlyAsked(suffix, network string) error {
	for name, resolver := range e.Resolvers {
		if name == network {
			continue
		}
		for _, q := range resolver.Log.Queries() {
			if strings.HasSuffix(strings.ToLower(q.Name), suffix) {
				return fmt.Errorf("the resolver of %s was asked %v", name, q)
			}
		}
	}
	if network == "" {
		return nil
	}
	for _, q := range e.Resolvers[network].Log.Queries() {
		if strings.HasSuffix(strings.ToLower(q.Name), suffix) {
			if !e.Network(network).Owns(q.Source.Addr()) {
				return fmt.Errorf("the resolver of %s was asked from a foreign address: %v", network, q)
			}
			return nil
		}
	}
	return fmt.Errorf("the resolver of %s was never asked about %s", network, suffix)
}

// toward matches packets that leave for an address.
func toward(addrs ...netip.Addr) func(lab.Record) bool {
	return func(r lab.Record) bool {
		for _, a := range addrs {
			if r.Out && r.Dst == a {
				return true
			}
		}
		return false
	}
}
