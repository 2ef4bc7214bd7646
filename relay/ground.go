package relay

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"mifvif/pvd"
)

// errGroundLost ends whatever stood on a domain or an address that is no more.
var errGroundLost = errors.New("the flow's domain or its address there is gone")

// ground is what flows stand on: one context per source address of a living
// domain instance, ended when either is gone. The flows of each inlet stand by
// themselves.
type ground struct {
	mu     sync.Mutex
	root   context.Context
	fields map[foothold]field
}

// foothold is a source address inside a domain instance.
type foothold struct {
	domain pvd.Key
	source netip.Addr
	inlet  *Inlet // nil: of mif0
}

type field struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// open sets what every field ends with at the latest.
func (g *ground) open(root context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.root, g.fields = root, make(map[foothold]field)
}

// under returns the context of a foothold; it is ended already when the relay is
// not running, or the inlet is gone.
func (g *ground) under(k foothold) context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, ok := g.fields[k]; ok {
		return f.ctx
	}
	if g.root == nil || k.inlet != nil && k.inlet.over {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errGroundLost)
		return ctx
	}
	ctx, cancel := context.WithCancelCause(g.root)
	g.fields[k] = field{ctx, cancel}
	return ctx
}

// lasting returns the context of what outlives its domain: that of the inlet it came
// by, nil for the host's own, which nothing ends before the relay.
func (g *ground) lasting(in *Inlet) context.Context {
	if in != nil {
		return g.under(held(in))
	}
	return g.root
}

// retire ends the ground of every foothold that alive denies.
func (g *ground) retire(alive func(pvd.Key, netip.Addr) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, f := range g.fields {
		if !k.holds() && !alive(k.domain, k.source) {
			f.cancel(errGroundLost)
			delete(g.fields, k)
		}
	}
}

// Retire ends or moves every flow whose domain instance, or whose source address
// there, is no longer alive: TCP flows are reset at once, bindings are closed so
// that the next packet gets a new decision where its rule allows. Other flows
// notice nothing (RFC 6418 3.2-7). Safe for concurrent use.
// Multipath flows lose their subflows there instead, and get new ones where they may.
func (r *Relay) Retire(alive func(domain pvd.Key, source netip.Addr) bool) {
	r.ground.retire(alive)
	r.keeper.change(alive)
	r.cfg.NAT.Retire(alive)
}
