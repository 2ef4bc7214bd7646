package relay

import (
	"mifvif/packet"
	"mifvif/tun"
)

// icmp relays echo requests; it answers for nobody but the resolver that lives
// here. Whatever else an app sends as ICMP stays here.
func (r *Relay) icmp(h tun.Header, info *packet.Info, data []byte) {
	f := flowOf(info)
	switch {
	case !info.EchoRequest():
		r.drops.protocol.Add(1)
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
