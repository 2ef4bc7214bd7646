package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"mifvif/dns"
	"mifvif/flow"
	"mifvif/packet"
	"mifvif/poll"
	"mifvif/tun"
)

// Locals says whose packets may come out of mif0. It is an immutable snapshot.
type Locals struct {
	// Sources are the addresses of this host that apps may send from: mif0's
	// own and those of interfaces that are no uplinks.
	Sources map[netip.Addr]struct{}
	// Handles are the addresses of mif0 that stand for a domain, by its name; they
	// are among Sources.
	Handles map[netip.Addr]string
	// Own are all addresses of this host, uplinks' included: the kernel would bring
	// what is sent to them back here, where a command reaches nothing.
	Own map[netip.Addr]struct{}
	// LANs are the networks carried in router mode.
	LANs []LAN
}

// LAN is a network whose hosts are carried, behind one interface.
type LAN struct {
	Prefix    netip.Prefix
	Interface string
}

// LANOf returns the LAN interface that a flow with this source would come in by,
// "" for the host's own. Safe for concurrent use.
func (r *Relay) LANOf(src netip.Addr) string { return r.locals.Load().lanOf(src) }

// lanOf returns the interface that the hosts' flows with this source come in by,
// "" for the host's own.
func (l *Locals) lanOf(src netip.Addr) string {
	if _, own := l.Sources[src]; own || len(l.LANs) == 0 {
		return ""
	}
	for _, lan := range l.LANs {
		if lan.Prefix.Contains(src) {
			return lan.Interface
		}
	}
	return ""
}

// SetLocals replaces what ingress accepts. Safe for concurrent use.
func (r *Relay) SetLocals(l *Locals) { r.locals.Store(l) }

// read carries what comes out of a device until it is closed: mif0, or that of an
// inlet. They take turns by the batch, so everything this calls may count on one
// packet at a time.
func (r *Relay) read(ctx context.Context, device Device, in *Inlet) error {
	batch := tun.NewBatch()
	for {
		packets, err := device.Read(batch)
		r.carryBatch(packets, in)
		if batch.Full() {
			poll.Yield()
		}
		if err != nil {
			if errors.Is(err, os.ErrClosed) && ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("read packets: %w", err)
		}
	}
}

// carryBatch is one turn.
func (r *Relay) carryBatch(packets []tun.Packet, in *Inlet) {
	r.turn.Lock()
	defer r.turn.Unlock()
	for i := range packets {
		r.receive(&packets[i], in)
	}
	r.cfg.NAT.Flush()
}

// receive sorts one packet to its protocol, or drops and counts it. in is the
// inlet it came by, nil for mif0.
func (r *Relay) receive(p *tun.Packet, in *Inlet) {
	info, err := packet.Parse(p.Data)
	if err != nil {
		r.drops.malformed.Add(1)
		return
	}
	if !r.acceptable(&info, in) {
		r.drops.martian.Add(1)
		return
	}
	if r.nowhere(info.Dst) || in != nil && r.here(info.Dst) {
		r.drops.nowhere.Add(1)
		r.cfg.NAT.Refuse(p.Data, packet.HostUnreachable)
		return
	}
	if info.Fragment {
		r.reassemble(p, &info)
		return
	}
	h, ok := settle(p, &info)
	if !ok {
		r.drops.malformed.Add(1)
		return
	}
	r.dispatch(h, &info, p.Data)
}

// settle returns what is true of a whole packet's virtio header. A checksum that
// is left undone somewhere else than in the transport's own header is that of a
// tunnelled packet, and is completed: nobody behind us will. If the header lied,
// the packet's own checksum does not hold afterwards. It returns false for
// segmentation, or a checksum in the IP header, that cannot be the packet's.
func settle(p *tun.Packet, info *packet.Info) (tun.Header, bool) {
	h, offset, segmented := p.Header, 0, false
	switch flow.Proto(info.Proto) {
	case flow.TCP:
		offset, segmented = 16, h.GSOType == tun.GSOTCPv4 || h.GSOType == tun.GSOTCPv6
	case flow.UDP:
		offset, segmented = 6, h.GSOType == tun.GSOUDPL4
	case flow.ICMP, flow.ICMPv6:
		offset = 2
	}
	if h.GSOType != tun.GSONone && !segmented {
		return h, false
	}
	if !h.NeedsChecksum || int(h.ChecksumStart) == info.L4 && int(h.ChecksumOffset) == offset {
		return h, true
	}
	if segmented || int(h.ChecksumStart) < info.L4 {
		return h, false
	}
	packet.Complete(p.Data, int(h.ChecksumStart), int(h.ChecksumOffset))
	h.NeedsChecksum = false
	return h, true
}

// dispatch hands one whole packet to its protocol's way.
func (r *Relay) dispatch(h tun.Header, info *packet.Info, data []byte) {
	switch flow.Proto(info.Proto) {
	case flow.TCP:
		r.stack.Deliver(h, data)
	case flow.UDP:
		r.udp(h, info, data)
	case flow.ICMP, flow.ICMPv6:
		r.icmp(h, info, data)
	default:
		r.drops.protocol.Add(1)
		r.cfg.NAT.Refuse(data, packet.ProtocolUnreachable)
	}
}

// acceptable reports whether the packet can be an app's: a source that is ours
// (RFC 6418 3.2-9: nothing is forwarded between networks) and a destination
// that one host can be asked for.
func (r *Relay) acceptable(info *packet.Info, in *Inlet) bool {
	if info.Martian() {
		return false
	}
	if in != nil {
		return in.sends(info.Src)
	}
	l := r.locals.Load()
	if _, ok := l.Sources[info.Src]; ok {
		return true
	}
	for _, lan := range l.LANs {
		if lan.Prefix.Contains(info.Src) {
			return true
		}
	}
	return false
}

// nowhere reports whether dst is one of the house's own addresses that nobody
// has: it must not be looked for on an uplink.
func (r *Relay) nowhere(dst netip.Addr) bool {
	if dns.IsAlias(dst) {
		_, known := r.cfg.Names.Lookup(netip.Addr{}, dst)
		return !known
	}
	for _, p := range r.cfg.House {
		if p.Contains(dst) {
			return !slices.Contains(r.cfg.ResolverAddrs, dst)
		}
	}
	return false
}

// here reports whether dst is one of this host's addresses. Nobody but a command
// has to be asked: what others send there does not come out of mif0.
func (r *Relay) here(dst netip.Addr) bool {
	_, own := r.locals.Load().Own[dst]
	return own
}

// reassemble keeps a fragment until its datagram is whole and sends that on.
func (r *Relay) reassemble(p *tun.Packet, info *packet.Info) {
	whole, ok := r.fragments.Add(info, p.Data)
	if !ok {
		return
	}
	full, err := packet.Parse(whole)
	if err != nil {
		r.drops.malformed.Add(1)
		return
	}
	full.DF = false // who has cut it lets others do so; whole it may fit no uplink
	r.dispatch(tun.Header{}, &full, whole)
}
