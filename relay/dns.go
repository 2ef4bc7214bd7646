package relay

import (
	"net/netip"
	"slices"

	"mifvif/packet"
	"mifvif/stack"
)

const dnsPort = 53

// isResolver reports whether dst is the resolver that lives in the house.
func (r *Relay) isResolver(dst netip.AddrPort) bool {
	return slices.Contains(r.cfg.ResolverAddrs, dst.Addr())
}

// serveUDP hands a query to the resolver; its answer is written back to mif0
// from the address that was asked.
func (r *Relay) serveUDP(info *packet.Info, data []byte) {
	if info.DstPort != dnsPort {
		r.cfg.NAT.Refuse(data, packet.PortUnreachable)
		return
	}
	app := netip.AddrPortFrom(info.Src, info.SrcPort)
	served := netip.AddrPortFrom(info.Dst, info.DstPort)
	if answer := r.cfg.Resolver.Cached(r.answer[:0], info.Payload(data), app); answer != nil {
		r.cfg.NAT.Answer(served, app, answer)
		return
	}
	r.cfg.Resolver.ServeUDP(info.Payload(data), app, func(answer []byte) {
		r.cfg.NAT.Answer(served, app, answer)
	})
}

// serveTCP ends an app's connection to the resolver's address.
func (r *Relay) serveTCP(req *stack.Request) {
	if req.Flow().Dst.Port() != dnsPort {
		req.Refuse(stack.Reset)
		return
	}
	conn, err := req.Accept()
	if err != nil {
		return
	}
	c := conn.NetConn()
	defer c.Close()
	r.cfg.Resolver.ServeTCP(r.ground.root, c)
}
