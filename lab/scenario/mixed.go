package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"mifvif/lab"

	"github.com/miekg/dns"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func (e *Env) oneTCP(ctx context.Context, dst netip.AddrPort) (string, error) {
	t, err := e.Talk(ctx, dst, lab.SocketOptions{})
	if err != nil {
		return "", err
	}
	defer t.Close()
	return t.Network, t.Say()
}

// oneUDP asks once; silence is a lost datagram, not a hang.
func (e *Env) oneUDP(dst netip.AddrPort) (string, error) {
	conn, err := e.Host.DialUDP(dst, lab.SocketOptions{})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_, network, err := askOnce(conn, 500*time.Millisecond)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", errLost
	}
	return network, err
}

// errLost is a datagram without answer.
var errLost = errors.New("the datagram was lost")

// oneEcho pings once; silence is a lost packet.
func (e *Env) oneEcho(dst netip.Addr, number uint16) error {
	conn, err := e.Host.DialICMP(dst)
	if err != nil {
		return err
	}
	defer conn.Close()
	proto, request, reply := 1, icmp.Type(ipv4.ICMPTypeEcho), icmp.Type(ipv4.ICMPTypeEchoReply)
	if dst.Is6() {
		proto, request, reply = 58, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	echo := icmp.Echo{ID: int(number), Seq: 1, Data: []byte("mifvif lab")}
	packet, err := (&icmp.Message{Type: request, Body: &echo}).Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	buf := make([]byte, 500)
	for {
		n, _, err := conn.ReadFromIP(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errLost
		}
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(proto, buf[:n])
		if err != nil || m.Type != reply {
			continue
		}
		if body, ok := m.Body.(*icmp.Echo); ok && body.ID == int(number) {
			return nil
		}
	}
}

// oneDNS asks the host's resolver, whoever that is now.
func (e *Env) oneDNS() error {
	server, err := e.resolver()
	if err != nil {
		return err
	}
	conn, err := e.Host.DialUDP(netip.AddrPortFrom(server, 53), lab.SocketOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	client := dns.Conn{Conn: conn}
	if err := client.WriteMsg(new(dns.Msg).SetQuestion("www.example.net.", dns.TypeA)); err != nil {
		return err
	}
	if _, err := client.ReadMsg(); errors.Is(err, os.ErrDeadlineExceeded) {
		return errLost
	} else if err != nil {
		return err
	}
	return nil
}

// resolver reads the host's first name server.
func (e *Env) resolver() (netip.Addr, error) {
	content, err := e.Host.ReadFile("/etc/resolv.conf")
	if err != nil {
		return netip.Addr{}, err
	}
	config, err := dns.ClientConfigFromReader(bytes.NewReader(content))
	if err != nil || len(config.Servers) == 0 {
		return netip.Addr{}, fmt.Errorf("no name server in %q: %w", content, err)
	}
	return netip.ParseAddr(config.Servers[0])
}
