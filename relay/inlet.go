package relay

import (
	"context"
	"errors"
	"maps"
	"net/netip"

	"mifvif/flow"
	"mifvif/pvd"
)

// Inlet is a way in beside mif0: a device whose packets are all of one command,
// which may use one domain and no other (mifvif exec). What is for the command is
// written to mif0 like everything; the device there parts it.
type Inlet struct {
	Device Device
	Number byte   // of CommandAddresses; nothing from another source is taken
	Domain string // by name, whether it is there or not
	Owners Owners // of the sockets behind Device; nil: nobody knows
	User   uint32 // of the command, whose the flows are where Owners does not know better

	over bool // guarded by ground.mu
}

// Commands are the numbers that an Inlet may have: from 1 to Commands.
const Commands = 254

// CommandAddresses returns the addresses of a command, IPv4 first: of 198.18.2.0/24
// and 2001:2:0:3::/64, which benchmarks own (RFC 2544, RFC 5180).
func CommandAddresses(number byte) [2]netip.Addr {
	return [2]netip.Addr{
		netip.AddrFrom4([4]byte{198, 18, 2, number}),
		netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 3: 2, 7: 3, 15: number}),
	}
}

// CommandOf returns the number of the command whose address a is; ok is false for
// every other address.
func CommandOf(a netip.Addr) (number byte, ok bool) {
	if a.Is4() {
		number = a.As4()[3]
		return number, a == CommandAddresses(number)[0]
	}
	number = a.As16()[15]
	return number, a == CommandAddresses(number)[1]
}

// errInletGone ends the flows of a command.
var errInletGone = errors.New("the command has ended")

// Serve carries what comes out of an inlet's device until it is closed, as what
// comes out of mif0 is, and ends every flow of its before it returns. ctx only
// tells whether that the device was closed is an error. There is one inlet of a
// number at a time.
func (r *Relay) Serve(ctx context.Context, in *Inlet) error {
	r.changeInlets(func(all map[byte]*Inlet) { all[in.Number] = in })
	defer func() {
		r.changeInlets(func(all map[byte]*Inlet) { delete(all, in.Number) })
		r.ground.leave(in)
		for _, a := range CommandAddresses(in.Number) {
			r.cfg.NAT.EndApp(a)
		}
	}()
	return r.read(ctx, in.Device, in)
}

// changeInlets replaces the inlets there are.
func (r *Relay) changeInlets(change func(map[byte]*Inlet)) {
	r.changing.Lock()
	defer r.changing.Unlock()
	all := make(map[byte]*Inlet)
	if old := r.inlets.Load(); old != nil {
		maps.Copy(all, *old)
	}
	change(all)
	r.inlets.Store(&all)
}

// InletOf returns the inlet that flows from src come in by, nil for none. gone says
// that src is a command's that has ended: what it still has sent goes nowhere.
// Safe for concurrent use.
func (r *Relay) InletOf(src netip.Addr) (in *Inlet, gone bool) {
	number, ok := CommandOf(src)
	if !ok {
		return nil, false
	}
	if all := r.inlets.Load(); all != nil {
		in = (*all)[number]
	}
	return in, in == nil
}

// confine fills in what is true of each flow of a command.
func (in *Inlet) confine(f *flow.Flow, asked netip.AddrPort) {
	f.Bound, f.Confined = in.Domain, true
	if in.Owners != nil {
		f.Owner = in.Owners.Owner(flow.Flow{Proto: f.Proto, Src: f.Src, Dst: asked})
	}
	if !f.Owner.Known { // a ping, or a socket that was closed at once: rules about the user hold all the same
		f.Owner = flow.Owner{Known: true, UID: in.User}
	}
}

// sends reports whether a packet from src may come out of the inlet's device.
func (in *Inlet) sends(src netip.Addr) bool {
	number, ok := CommandOf(src)
	return ok && number == in.Number
}

// leave ends what stands on the ground of an inlet, and whatever would come to.
func (g *ground) leave(in *Inlet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in.over = true
	for k, f := range g.fields {
		if k.inlet == in {
			f.cancel(errInletGone)
			delete(g.fields, k)
		}
	}
}

// held is the foothold of flows that outlive their domain: none for the host's
// own, since nothing ends those before the relay does.
func held(in *Inlet) foothold { return foothold{inlet: in} }

// holds reports whether the foothold is one of held's.
func (k foothold) holds() bool { return k.domain == pvd.Key{} && !k.source.IsValid() }
