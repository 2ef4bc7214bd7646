package relay

import (
	"mifvif/packet"
	"mifvif/tun"
)

// icmp relays echo requests; it answers for nobody but the resolver that lives
// here. What a router before a LAN's client says of the size of segments is for the
// connection's end; whatever else is sent as ICMP stays here.
func (r *Relay) icmp(h tun.Header, info *packet.Info, data []byte) {
	f := flowOf(info)
	switch {
	case !info.EchoRequest():
		if !r.tooBig(data) {
			r.drops.protocol.Add(1)
		}
	case r.isResolver(f.Dst):
		r.answerEcho(info, data)
	default:
		r.carry(h, f, info, data)
	}
}

// tooBig hands on what is said of the size of segments: to the server where the
// kernel translates the flow, else to our own end.
func (r *Relay) tooBig(data []byte) bool {
	return r.cfg.Streams != nil && r.cfg.Streams.TooBig(data) || r.stack.TooBig(data)
}

// answerEcho answers an echo request to the resolver's own address.
func (r *Relay) answerEcho(info *packet.Info, data []byte) {
	if err := r.cfg.NAT.Give(packet.AppendEchoReply(nil, info, data)); err != nil {
		r.drops.unwritten.Add(1)
	}
}
