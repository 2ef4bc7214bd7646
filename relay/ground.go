package relay

import (
	"context"
	"errors"
	"sync"

	"mifvif/pvd"
)

// errGroundLost ends whatever stood on a domain that is no more.
var errGroundLost = errors.New("the flow's domain is gone")

// ground is what flows stand on: one context per living domain instance, ended
// when the instance is gone.
type ground struct {
	mu     sync.Mutex
	root   context.Context
	fields map[pvd.Key]field
}

type field struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// open sets what every field ends with at the latest.
func (g *ground) open(root context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.root, g.fields = root, make(map[pvd.Key]field)
}

// under returns the context of domain instance k; it is ended already when the
// relay is not running.
func (g *ground) under(k pvd.Key) context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f, ok := g.fields[k]; ok {
		return f.ctx
	}
	if g.root == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errGroundLost)
		return ctx
	}
	ctx, cancel := context.WithCancelCause(g.root)
	g.fields[k] = field{ctx, cancel}
	return ctx
}

// retire ends the ground of every instance that alive denies.
func (g *ground) retire(alive func(pvd.Key) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, f := range g.fields {
		if !alive(k) {
			f.cancel(errGroundLost)
			delete(g.fields, k)
		}
	}
}

// Retire ends or moves every flow whose domain instance is no longer alive:
// TCP flows are reset at once, bindings are closed so that the next packet gets
// a new decision where its rule allows. Flows of living instances notice
// nothing (RFC 6418 3.2-7). Safe for concurrent use.
func (r *Relay) Retire(alive func(pvd.Key) bool) {
	r.ground.retire(alive)
	r.cfg.NAT.Retire(alive)
}
