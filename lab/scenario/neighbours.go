package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"

	"mifvif/lab"
)

// localAtE1 marks n1's link as the one that names below local belong to.
const localAtE1 = `
pvds:
  - {name: n1, interface: e1, dns: {zones: [local]}}
`

// neighbours has a neighbour in n1 answer by multicast DNS: it is asked on n1's link
// and on no other, and no resolver ever is.
func neighbours(ctx context.Context, e *Env) error {
	conn, err := e.Node("n1").ListenUDP(lab.SocketOptions{Source: netip.MustParseAddrPort("0.0.0.0:5353")})
	if err != nil {
		return err
	}
	defer conn.Close()
	index, err := e.Node("n1").LinkIndex("lan")
	if err != nil {
		return err
	}
	err = ipv4.NewPacketConn(conn).JoinGroup(&net.Interface{Index: index}, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251)})
	if err != nil {
		return err
	}
	go answerNeighbours(conn)
	elsewhere, err := e.Host.Capture("e2", ports(5353, 5355))
	if err != nil {
		return err
	}
	if err := errors.Join(e.Fetch(ctx, "printer.local", "n1"), e.FetchUDP(ctx, "printer.local", "n1")); err != nil {
		return err
	}
	if m, err := e.Resolve(ctx, "nobody.local", dns.TypeA); err != nil || m.Rcode != dns.RcodeNameError {
		return fmt.Errorf("a neighbour that is none: %v, %w", m, err)
	}
	return steps(
		func() error { return nothing(elsewhere, "a neighbour's name was asked about on another link") },
		func() error { return e.OnlyAsked("local.", "") },
	)
}

// answerNeighbours answers for printer.local until the socket is closed.
func answerNeighbours(conn net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(b[:n]) != nil || len(q.Question) != 1 || q.Question[0].Name != "printer.local." || q.Question[0].Qtype != dns.TypeA {
			continue
		}
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: "printer.local.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 10}, A: net.IPv4(10, 1, 0, 80),
		}}
		if out, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(out, from)
		}
	}
}
