package stack

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"mifvif/tun"
)

// link is gVisor's view of mif0: a link endpoint without link header that lets
// the kernel segment and finish checksums.
type link struct {
	mtu        uint32
	out        Writer
	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
	failed     atomic.Uint64
	tardy      tardy
}

func newLink(mtu int, out Writer) *link { return &link{mtu: uint32(mtu), out: out} }

// WritePackets hands packets to mif0, each a super-packet of up to 64 KiB where
// its segments would be alike. A packet mif0 does not take is lost, as on any
// wire; TCP sends it again.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	packets := list.AsSlice()
	for _, p := range packets {
		if o, ok := p.Owner.(*outlet); ok {
			o.send(p)
		} else {
			l.write(p)
		}
	}
	return len(packets), nil
}

// write is one packet to mif0.
func (l *link) write(p *stack.PacketBuffer) {
	if err := l.out.Write(virtioHeader(p), p.AsSlices()...); err != nil {
		l.failed.Add(1)
	}
}

// virtioHeader says what the kernel is left to do for p.
func virtioHeader(p *stack.PacketBuffer) tun.Header {
	gso := p.GSOOptions
	if gso.Type == stack.GSONone {
		return tun.Header{}
	}
	h := tun.Header{
		NeedsChecksum:  gso.NeedsCsum,
		ChecksumStart:  gso.L3HdrLen,
		ChecksumOffset: gso.CsumOffset,
	}
	if p.Data().Size() <= int(gso.MSS) {
		return h
	}
	h.GSOType = tun.GSOTCPv4
	if gso.Type == stack.GSOTCPv6 {
		h.GSOType = tun.GSOTCPv6
	}
	h.HeaderLen, h.GSOSize = uint16(p.HeaderSize()), gso.MSS
	return h
}

// GSOMaxSize implements stack.GSOEndpoint.
func (l *link) GSOMaxSize() uint32 { return 65535 }

// SupportedGSO implements stack.GSOEndpoint.
func (l *link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// MTU implements stack.LinkEndpoint.
func (l *link) MTU() uint32 { return l.mtu }

// SetMTU implements stack.LinkEndpoint; mif0's MTU is set once.
func (l *link) SetMTU(uint32) {}

// MaxHeaderLength implements stack.LinkEndpoint: there is no link header.
func (l *link) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.LinkEndpoint.
func (l *link) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.LinkEndpoint.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint: Deliver has seen to checksums.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

// Attach implements stack.LinkEndpoint.
func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = d
}

// attached returns where packets go, nil once the stack is closed.
func (l *link) attached() stack.NetworkDispatcher {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher
}

// IsAttached implements stack.LinkEndpoint.
func (l *link) IsAttached() bool { return l.attached() != nil }

// Wait implements stack.LinkEndpoint: there are no goroutines here.
func (l *link) Wait() {}

// ARPHardwareType implements stack.LinkEndpoint.
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.LinkEndpoint.
func (l *link) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.LinkEndpoint.
func (l *link) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close implements stack.LinkEndpoint; the device belongs to its opener.
func (l *link) Close() {}

// SetOnCloseAction implements stack.LinkEndpoint.
func (l *link) SetOnCloseAction(func()) {}
