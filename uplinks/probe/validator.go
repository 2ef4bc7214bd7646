package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"

	"mifvif/pvd"
	"mifvif/uplinks/inside"
)

// Config is what a Validator needs of others.
type Config struct {
	inside.Network
	// Roots check the API's certificate; nil: those of the system.
	Roots *x509.CertPool
	// Deliver gets each new verdict, from many goroutines; it must not block.
	Deliver func(pvd.Key, pvd.Verdict)
}

// Validator validates domains. Make one with New and start it with Run; Watch
// is safe for concurrent use.
type Validator struct {
	cfg Config
	log *slog.Logger

	mu       sync.Mutex
	ctx      context.Context // of Run, nil outside it
	watchers map[pvd.Key]*watcher
	running  sync.WaitGroup
}

// New checks cfg; it starts nothing.
func New(cfg Config, log *slog.Logger) (*Validator, error) {
	if !cfg.Complete() || cfg.Deliver == nil {
		return nil, errors.New("a validator needs ways to dial, to look up and to deliver")
	}
	return &Validator{cfg: cfg, log: log, watchers: make(map[pvd.Key]*watcher)}, nil
}

// Run validates until ctx ends and returns when every watcher has.
func (v *Validator) Run(ctx context.Context) error {
	v.mu.Lock()
	v.ctx = ctx
	for _, w := range v.watchers {
		v.start(w)
	}
	v.mu.Unlock()
	<-ctx.Done()
	v.mu.Lock()
	v.ctx = nil
	v.mu.Unlock()
	v.running.Wait()
	return nil
}

// Watch says which domains there are now. New instances are validated at once,
// those that say something else of how to be asked again; those that are gone
// are left alone.
func (v *Validator) Watch(set *pvd.Set) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range set.All() {
		if !d.Validated() {
			continue
		}
		w := v.watchers[d.Key()]
		if w == nil {
			w = newWatcher(v, d)
			v.watchers[d.Key()] = w
			v.start(w)
			continue
		}
		w.update(d)
	}
	for k, w := range v.watchers {
		if d := set.ByKey(k); d == nil || !d.Validated() {
			w.stop()
			delete(v.watchers, k)
		}
	}
}

// Again validates one domain now: a person says that something has changed.
func (v *Validator) Again(k pvd.Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w := v.watchers[k]; w != nil {
		w.hurry()
	}
}

// start begins to watch, if Run has.
func (v *Validator) start(w *watcher) {
	if v.ctx == nil {
		return
	}
	ctx, cancel := context.WithCancel(v.ctx)
	w.cancel = cancel
	v.running.Go(func() {
		defer cancel()
		w.run(ctx)
	})
}
