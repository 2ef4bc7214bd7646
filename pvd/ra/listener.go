package ra

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// When routers are asked (RFC 4861 6.3.7, 10).
const (
	solicitations     = 3               // MAX_RTR_SOLICITATIONS
	solicitationEvery = 4 * time.Second // RTR_SOLICITATION_INTERVAL
	solicitationDelay = time.Second     // MAX_RTR_SOLICITATION_DELAY
)

// complainEvery bounds how often a link's flood is said in the log.
const complainEvery = time.Minute

// endpoint is where the advertisements of one link are heard. read and solicit
// may be called at the same time; close ends a read that waits.
type endpoint interface {
	read() (message, error)
	solicit() error
	close() error
}

// listener hears one link.
type listener struct {
	link     netwatch.Link
	endpoint endpoint
	deliver  func(pvd.Report)
	count    *counters
	log      *slog.Logger

	routers    *routers
	complained time.Time
	answered   chan struct{} // closed when a default router has answered
	once       sync.Once
}

func newListener(link netwatch.Link, at endpoint, s *Source) *listener {
	return &listener{
		link: link, endpoint: at, deliver: s.config.Deliver, count: &s.count,
		log: s.log.With("interface", link.Name), routers: newRouters(), answered: make(chan struct{}),
	}
}

// run hears the link until ctx ends or the endpoint fails. Routers are asked first
// after a random part of delay.
func (l *listener) run(ctx context.Context, delay time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	asking.Go(func() { l.ask(ctx, delay) })
	stop := context.AfterFunc(ctx, func() { _ = l.endpoint.close() })
	err := l.hear()
	if stop() { // it is still open
		err = errors.Join(err, l.endpoint.close())
	}
	cancel()
	asking.Wait()
	return err
}

// hear reads until the endpoint is closed.
func (l *listener) hear() error {
	for {
		m, err := l.endpoint.read()
		now := time.Now()
		switch {
		case errors.Is(err, errLong):
			l.count.invalid.Add(1)
		case err != nil:
			return err
		default:
			l.take(m, now)
		}
	}
}

// take hands a message on if it is valid and its sender may speak. What is
// invalid at first sight uses up no allowance: the sender of a message that came
// from elsewhere, or says that it did, is anybody.
func (l *listener) take(m message, now time.Time) {
	l.count.heard.Add(1)
	if err := m.accept(); err != nil {
		l.refuse(&m, err)
		return
	}
	evicted := l.routers.evicted
	allowed := l.routers.allow(m.source, now)
	l.count.evicted.Add(l.routers.evicted - evicted)
	if !allowed {
		l.count.limited.Add(1)
		l.complain(now)
		return
	}
	report, err := read(m, l.link, now)
	if err != nil {
		l.refuse(&m, err)
		return
	}
	if report.RA.Lifetime > 0 {
		l.once.Do(func() { close(l.answered) })
	}
	l.deliver(report)
}

func (l *listener) refuse(m *message, why error) {
	l.count.invalid.Add(1)
	l.log.Debug("a router advertisement is dropped", "router", m.source, "error", why)
}

func (l *listener) complain(now time.Time) {
	if now.Sub(l.complained) < complainEvery {
		return
	}
	l.complained = now
	l.log.Warn("more router advertisements than routers send; the excess is dropped")
}

// ask solicits until a router that can be used has answered.
func (l *listener) ask(ctx context.Context, delay time.Duration) {
	wait := rand.N(delay + 1)
	for range solicitations {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.answered:
		case <-timer.C:
		}
		if timer.Stop() || ctx.Err() != nil {
			return
		}
		if err := l.endpoint.solicit(); err != nil {
			l.log.Debug("routers could not be asked", "error", err)
		}
		wait = solicitationEvery
	}
}
