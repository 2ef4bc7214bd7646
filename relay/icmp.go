package relay

import (
	"mifvif/packet"
	"mifvif/tun"
)

// icmp relays echo requests; it answers for nobody but the resolver that lives
// here. What a router before a LAN's client says of the size of segments is for the
// connection's end, which is ours; whatever else is sent as ICMP stays here.
func (r *Relay) icmp(h tun.Header, info *packet.Info, data []byte) {
	f := flowOf(info)
	switch {
	case !info.EchoRequest():
		if !r.stack.TooBig(data) {
			r.drops.protocol.Add(1)
		}
	case r.isResolver(f.Dst):
		r.answerEcho(info, data)
	default:
		r.carry(h, f, info, data)
	}
}

// answerEcho answers an echo request to the resolver's own address.
func (r *Relay) answerEcho(info *packet.Info, data []byte) {
	if err := r.cfg.NAT.Give(packet.AppendEchoReply(nil, info, data)); err != nil {
		r.drops.unwritten.Add(1)
	}
}
