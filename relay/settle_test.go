package relay

import (
	"bytes"
	"net/netip"
	"testing"

	"mifvif/packet"
	"mifvif/tun"
)

// tunnelled is a datagram with a datagram in it, as VXLAN sends: the outer
// checksum is there, the inner one is left to the device.
func tunnelled() (p *tun.Packet, inner int) {
	in := append(packet.AppendUDP(nil, packet.Info{Src: server, Dst: own, SrcPort: 5, DstPort: 6, TTL: 64}, 4), "mif0"...)
	i := packet.Info{Src: own, Dst: server, SrcPort: 4000, DstPort: 4789, TTL: 64}
	b := packet.AppendUDP(nil, i, len(in))
	inner = len(b) + packet.IPv4HeaderLen
	done := append(bytes.Clone(b), in...)
	packet.Complete(done, inner, 6)
	packet.FinishUDP(done, packet.IPv4HeaderLen) // over the inner packet as it will be
	b = append(bytes.Clone(done[:len(b)]), in...)
	return &tun.Packet{Header: tun.Header{NeedsChecksum: true, ChecksumStart: uint16(inner), ChecksumOffset: 6}, Data: b}, inner
}

func TestTheInnerChecksumOfATunnelIsCompleted(t *testing.T) {
	p, inner := tunnelled()
	info, err := packet.Parse(p.Data)
	check(t, err)
	h, ok := settle(p, &info)
	if !ok || h.NeedsChecksum || !packet.UDPSound(&info, p.Data) {
		t.Errorf("settled %+v, %t: the outer checksum must hold", h, ok)
	}
	in := p.Data[inner-packet.IPv4HeaderLen:]
	i, err := packet.Parse(in)
	if err != nil || !packet.UDPSound(&i, in) {
		t.Errorf("the inner packet %+v is not sound: %v", i, err)
	}
}

// TestLyingHeadersAreNotBelieved: what the header says is not what the packet is.
func TestLyingHeadersAreNotBelieved(t *testing.T) {
	whole := func() []byte {
		b := datagram(own, server, 53)
		packet.FinishUDP(b, packet.IPv4HeaderLen)
		return b
	}
	for _, c := range []struct {
		name  string
		h     tun.Header
		ok    bool
		sound bool // what the app's packet is afterwards
	}{
		{"the truth", tun.Header{}, true, true},
		{"checksum in the addresses", tun.Header{NeedsChecksum: true, ChecksumStart: 12, ChecksumOffset: 2}, false, true},
		{"checksum in the ports", tun.Header{NeedsChecksum: true, ChecksumStart: 20, ChecksumOffset: 0}, true, false},
		{"checksum in the payload", tun.Header{NeedsChecksum: true, ChecksumStart: 28, ChecksumOffset: 1}, true, false},
		{"TCP segments", tun.Header{GSOType: tun.GSOTCPv4, GSOSize: 2, HeaderLen: 28}, false, true},
		{"datagrams of a tunnel", tun.Header{NeedsChecksum: true, ChecksumStart: 24, ChecksumOffset: 6, GSOType: tun.GSOUDPL4, GSOSize: 2, HeaderLen: 28}, false, true},
	} {
		p := &tun.Packet{Header: c.h, Data: whole()}
		info, err := packet.Parse(p.Data)
		check(t, err)
		_, ok := settle(p, &info)
		if sound := packet.UDPSound(&info, p.Data); ok != c.ok || sound != c.sound {
			t.Errorf("%s: carried %t, sound %t; want %t, %t", c.name, ok, sound, c.ok, c.sound)
		}
	}
}

// FuzzReceive hands frames of any kind to the relay, as mif0 would.
func FuzzReceive(f *testing.F) {
	p, _ := tunnelled()
	for _, seed := range []tun.Packet{*p, {Data: datagram(own, server, 53)}, {Data: syn(80)}, {Data: datagram(netip.MustParseAddr("2001:2::1"), netip.MustParseAddr("2001:db8::1"), 53)}} {
		frame := make([]byte, tun.HeaderLen)
		seed.Header.Put(frame)
		f.Add(append(frame, seed.Data...))
	}
	w := newWorld(f, 4)
	f.Fuzz(func(_ *testing.T, frame []byte) {
		h, err := tun.ParseHeader(frame)
		if err != nil || h.Validate(frame[tun.HeaderLen:]) != nil {
			return
		}
		w.relay.receive(&tun.Packet{Header: h, Data: frame[tun.HeaderLen:]}, nil)
		w.relay.cfg.NAT.Flush()
	})
}
