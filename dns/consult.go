package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mifvif/pvd"
)

// consult returns what one domain says to r: from its cache, else from its
// resolvers. Equal questions under way are asked once, which also takes from a
// forger the many tries at one answer (RFC 5452 5).
func (s *Server) consult(ctx context.Context, d *pvd.Domain, r *request, last bool) (e *entry, cached bool, err error) {
	in := s.instances.of(d)
	if e := in.cache.find(r, time.Now()); e != nil {
		in.cache.hits.Add(1)
		return e, true, nil
	}
	in.cache.misses.Add(1)
	if !r.rd { // another question than the cache's
		e, err = s.fetch(ctx, d, in, r, last)
		return e, false, err
	}
	e, err = in.once(ctx, string(appendKey(nil, r.name, r.qtype, r.do, r.cd)), func() (*entry, error) {
		e, err := s.fetch(ctx, d, in, r, last)
		if err == nil {
			in.cache.put(r, e)
		}
		return e, err
	})
	return e, false, err
}

// fetch asks the domain's resolvers.
func (s *Server) fetch(ctx context.Context, d *pvd.Domain, in *instance, r *request, last bool) (*entry, error) {
	e, err := s.inquire(ctx, d, r, last)
	if made := s.synthesise(ctx, d, r, e); made != nil {
		e, err = made, nil
	}
	if err != nil {
		return nil, err
	}
	if in.ctx.Err() != nil {
		return nil, fmt.Errorf("ask %s: %w", d.Name, in.ctx.Err())
	}
	return e, nil
}

// inquire has the resolvers of d answer r.
func (s *Server) inquire(ctx context.Context, d *pvd.Domain, r *request, last bool) (*entry, error) {
	if s.byMulticast(d, r.name) {
		return s.multicast(ctx, d, r)
	}
	res, err := s.ask(ctx, d, r, last)
	if err != nil {
		return nil, err
	}
	e, err := newEntry(res.msg, r, time.Now())
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", d.Name, err)
	}
	e.server = res.server
	return e, nil
}

// flight is one question under way, whose answer others wait for too.
type flight struct {
	done chan struct{} // closed when e or err is set
	e    *entry
	err  error
}

// once has one caller at a time do the work for a key; the others get its result.
// Those whose leader gave up go on by themselves.
func (in *instance) once(ctx context.Context, key string, do func() (*entry, error)) (*entry, error) {
	for {
		in.mu.Lock()
		f := in.flights[key]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			in.flights[key] = f
			in.mu.Unlock()
			f.e, f.err = do()
			in.mu.Lock()
			delete(in.flights, key)
			in.mu.Unlock()
			close(f.done)
			return f.e, f.err
		}
		in.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if f.err == nil || !errors.Is(f.err, context.Canceled) {
			return f.e, f.err
		}
	}
}
