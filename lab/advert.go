package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/lab/nd"
)

// An Advert is a router advertisement as it is put on a link, right or wrong.
type Advert struct {
	Source   netip.Addr // the router's link-local address, or anybody's
	HopLimit uint8      // 0: 255, the only valid one
	Message  []byte     // ICMPv6, such as nd.RA's; its checksum is filled in
}

// allNodes is where unsolicited advertisements go.
func allNodes() netip.Addr { return netip.MustParseAddr("ff02::1") }

// packet returns the IPv6 packet.
func (a Advert) packet() []byte {
	hops := a.HopLimit
	if hops == 0 {
		hops = 255
	}
	b := []byte{0x60, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(len(a.Message)))
	b = append(b, unix.IPPROTO_ICMPV6, hops)
	b = slices.Concat(b, a.Source.AsSlice(), allNodes().AsSlice(), a.Message)
	if message := b[40:]; len(message) >= 4 {
		message[2], message[3] = 0, 0
		binary.BigEndian.PutUint16(message[2:], nd.Checksum(a.Source, allNodes(), message))
	}
	return b
}

// SendAdvert puts advertisements on a node's link, one after another.
func (n *Node) SendAdvert(link string, adverts ...Advert) error {
	s, err := n.openAdverts(link)
	if err != nil {
		return err
	}
	for _, a := range adverts {
		err = errors.Join(err, s.send(a))
	}
	return errors.Join(err, s.close())
}

// Flood puts an advertisement after another on a link until ctx ends, perSecond
// of them each second, and returns how many those were; next makes the i-th.
func (n *Node) Flood(ctx context.Context, link string, perSecond int, next func(i int) Advert) (sent int, err error) {
	s, err := n.openAdverts(link)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	for err == nil && ctx.Err() == nil {
		time.Sleep(time.Until(start.Add(time.Duration(sent) * time.Second / time.Duration(perSecond))))
		if err = s.send(next(sent)); err == nil {
			sent++
		}
	}
	return sent, errors.Join(err, s.close())
}

// advertSocket sends packets on one link with any header.
type advertSocket struct {
	fd   int
	link string
	to   unix.SockaddrLinklayer
}

func (n *Node) openAdverts(link string) (*advertSocket, error) {
	index, err := n.LinkIndex(link)
	if err != nil {
		return nil, err
	}
	s := &advertSocket{link: n.Name + "/" + link, to: unix.SockaddrLinklayer{
		Protocol: binary.NativeEndian.Uint16([]byte{etherIPv6 >> 8, etherIPv6 & 0xff}), Ifindex: index,
		Halen: 6, Addr: [8]byte{0x33, 0x33, 0, 0, 0, 1},
	}}
	err = n.Do(func() (err error) {
		// Protocol 0: it receives nothing.
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", s.link, err)
	}
	return s, nil
}

func (s *advertSocket) send(a Advert) error {
	if err := unix.Sendto(s.fd, a.packet(), 0, &s.to); err != nil && !errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("advertise on %s: %w", s.link, err)
	}
	return nil
}

func (s *advertSocket) close() error { return unix.Close(s.fd) }
