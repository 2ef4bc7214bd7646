package ra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"mifvif/netwatch"
	"mifvif/owner"
)

// maxMessage is the longest message that is looked at, in bytes. No link's MTU
// that routers use is larger, and a longer one was fragmented, which neighbour
// discovery must not be (RFC 6980 5).
const maxMessage = 9216

// errLong is why a longer message is dropped.
var errLong = errors.New("it is longer than any link's MTU")

// socket is a raw ICMPv6 socket on one link.
type socket struct {
	conn *ipv6.PacketConn
	link netwatch.Link
	buf  [maxMessage + 1]byte
}

// listen opens a socket on a link of the namespace that the calling thread is in.
func listen(link netwatch.Link) (endpoint, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		failed := raw.Control(func(fd uintptr) {
			owner.Disown(int(fd))
			err = unix.BindToDevice(int(fd), link.Name)
		})
		return errors.Join(failed, err)
	}}
	raw, err := config.ListenPacket(context.Background(), "ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, fmt.Errorf("listen for router advertisements on %s: %w", link.Name, err)
	}
	s := &socket{conn: ipv6.NewPacketConn(raw), link: link}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for router advertisements on %s: %w", link.Name, err), raw.Close())
	}
	return s, nil
}

func (s *socket) prepare() error {
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	return errors.Join(
		s.conn.SetICMPFilter(&filter),
		s.conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		s.conn.SetMulticastHopLimit(hopLimit),
		s.conn.SetMulticastInterface(&net.Interface{Index: s.link.Index}))
}

// read waits for the next message of the link; its body is valid until the next
// call. The error says that the socket or the link is gone, or errLong.
func (s *socket) read() (message, error) {
	for {
		n, control, from, err := s.conn.ReadFrom(s.buf[:])
		if err != nil {
			return message{}, err
		}
		if control == nil || control.IfIndex != s.link.Index { // it came before the socket was bound
			continue
		}
		if n > maxMessage {
			return message{}, errLong
		}
		source, _ := netip.AddrFromSlice(from.(*net.IPAddr).IP)
		return message{source: source, hopLimit: control.HopLimit, body: s.buf[:n]}, nil
	}
}

// solicit asks all routers of the link to advertise (RFC 4861 4.1).
func (s *socket) solicit() error {
	const typeSolicitation = 133
	message := []byte{typeSolicitation, 0, 0, 0, 0, 0, 0, 0} // the kernel fills in the checksum
	routers := &net.IPAddr{IP: net.IPv6linklocalallrouters, Zone: s.link.Name}
	if _, err := s.conn.WriteTo(message, nil, routers); err != nil {
		return fmt.Errorf("solicit routers on %s: %w", s.link.Name, err)
	}
	return nil
}

func (s *socket) close() error { return s.conn.Close() }
