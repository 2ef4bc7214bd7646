package nat

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/tun"
)

// TestCongestionIsTold: an app that says that it understands marks of congestion (RFC
// 3168; RFC 9000 13.4 for QUIC, RFC 9331 for L4S) says it to the network and hears
// what the network says, both in the same datagrams as its own DSCP. Datagrams that
// differ in it do not become one burst.
func TestCongestionIsTold(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			server := marked(t, host)
			at := server.LocalAddr().(*net.UDPAddr).AddrPort()
			from := app
			if at.Addr().Is6() {
				from = netip.MustParseAddrPort("[2001:2::1]:4000")
			}
			table, out, _ := newTable(t, Config{Max: 10, PerSource: 1})
			choice := Choice{Domain: domain(0), Source: at.Addr()}
			if err := table.Bind(flow.Flow{Proto: flow.UDP, Src: from, Dst: at}, choice); err != nil {
				t.Fatal(err)
			}
			octets := []uint8{0xb8, 0xb9, 0xba, 0xbb, 0, 1, 2, 3}
			for _, octet := range octets {
				i := packet.Info{Src: from.Addr(), Dst: at.Addr(), SrcPort: from.Port(), DstPort: at.Port(), TTL: 64, TOS: octet}
				b := append(packet.AppendUDP(nil, i, 1), 'x')
				info, err := packet.Parse(b)
				if err != nil || !table.Forward(tun.Header{NeedsChecksum: true}, &info, b, false) {
					t.Fatalf("forward: %v", err)
				}
			}
			table.Flush()
			for _, want := range octets {
				octet, peer := receive(t, server)
				if octet != want {
					t.Errorf("the app sent %#02x, the server got %#02x", want, octet)
				}
				answer(t, server, peer, octet^3)
				if i, _ := out.next(t); i.TOS != octet^3 {
					t.Errorf("the server sent %#02x, the app got %#02x", octet^3, i.TOS)
				}
			}
		})
	}
}

// marked opens a server that is told the octet of DSCP and ECN.
func marked(t *testing.T, host string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	level, option := unix.IPPROTO_IP, unix.IP_RECVTOS
	if netip.MustParseAddr(host).Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return c
}

func receive(t *testing.T, server *net.UDPConn) (octet uint8, peer netip.AddrPort) {
	t.Helper()
	if err := server.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var b, oob [128]byte
	_, n, _, peer, err := server.ReadMsgUDPAddrPort(b[:], oob[:])
	if err != nil {
		t.Fatal(err)
	}
	var a arrival
	ancillary(oob[:n], a.note)
	return a.tos, peer
}

func answer(t *testing.T, server *net.UDPConn, peer netip.AddrPort, octet uint8) {
	t.Helper()
	level, option := unix.IPPROTO_IP, unix.IP_TOS
	if peer.Addr().Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	oob := make([]byte, unix.CmsgSpace(4))
	putInt(oob, 0, level, option, uint32(octet))
	if _, _, err := server.WriteMsgUDPAddrPort([]byte("y"), oob, peer); err != nil {
		t.Fatal(err)
	}
}
