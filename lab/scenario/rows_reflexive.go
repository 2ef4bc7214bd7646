package scenario

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

func reflexive(_ context.Context, e *Env) error {
	if err := e.stable(onlyE1, lab.SocketOptions{}, "n1"); err != nil {
		return err
	}
	if err := e.stable(onlyE2, lab.SocketOptions{}, "n2"); err != nil {
		return err
	}
	opt := lab.SocketOptions{Source: netip.AddrPortFrom(e.Network("n2").Host4(), 0)}
	return e.stable(lab.PortEcho, opt, "n2")
}

// stable has one UDP socket ask several peers on a port: all must report the
// same address, of the given network, and a peer that was never asked must
// reach the socket by it (RFC 4787: endpoint-independent mapping and
// filtering).
func (e *Env) stable(port uint16, opt lab.SocketOptions, network string) error {
	if !opt.Source.IsValid() {
		opt.Source = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	conn, err := e.Host.ListenUDP(opt)
	if err != nil {
		return err
	}
	defer conn.Close()
	var mapped netip.AddrPort
	for _, peer := range []netip.Addr{lab.Public4(), lab.Second4(), lab.Public4(), lab.Second4()} {
		src, by, err := reflect(conn, netip.AddrPortFrom(peer, port))
		if err != nil {
			return err
		}
		if mapped.IsValid() && src != mapped {
			return fmt.Errorf("one socket has two public addresses: %v and %v", mapped, src)
		}
		if mapped = src; by != network {
			return fmt.Errorf("%v to port %d came by %q, want %q", src, port, by, network)
		}
	}
	return stranger(e, conn, mapped)
}

// stranger sends to a mapped address from a socket that the app never spoke to.
func stranger(e *Env, app *net.UDPConn, mapped netip.AddrPort) error {
	other, err := e.Core.ListenUDP(lab.SocketOptions{Source: netip.AddrPortFrom(lab.Second4(), 0)})
	if err != nil {
		return err
	}
	defer other.Close()
	if _, err := other.WriteToUDPAddrPort([]byte("candidate"), mapped); err != nil {
		return err
	}
	_ = app.SetReadDeadline(time.Now().Add(answerWithin))
	buf := make([]byte, 100)
	n, src, err := app.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "candidate" {
		return fmt.Errorf("a stranger's packet to %v did not arrive: %q, %w", mapped, buf[:n], err)
	}
	if want := other.LocalAddr().(*net.UDPAddr).AddrPort(); netip.AddrPortFrom(src.Addr().Unmap(), src.Port()) != want {
		return fmt.Errorf("the stranger is %v but was shown to the app as %v", want, src)
	}
	return nil
}

// reflect asks a peer which address it sees; a lost packet is repeated.
func reflect(conn *net.UDPConn, peer netip.AddrPort) (src netip.AddrPort, network string, err error) {
	buf := make([]byte, 200)
	for range 3 {
		if _, err = conn.WriteToUDPAddrPort([]byte("?"), peer); err != nil {
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		var n int
		if n, _, err = conn.ReadFromUDPAddrPort(buf); err != nil {
			continue
		}
		var ok bool
		if src, network, ok = serve.ParseSeen(string(buf[:n])); ok {
			return src, network, nil
		}
	}
	return src, "", fmt.Errorf("ask %v for our address: %w", peer, err)
}
