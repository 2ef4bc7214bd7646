package networkmanager

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"mifvif/netwatch"
	"mifvif/netwatch/bus"
	"mifvif/pvd"
)

// When NetworkManager is asked: at once when something changed, but only so often;
// whatever happened after a while; and where it does not run, whether it does now.
const (
	leastWait = time.Second
	every     = time.Minute
	again     = 15 * time.Second
	// answerLimit is how long one reading may take.
	answerLimit = 5 * time.Second
)

// maxLinks bounds the links that are followed.
const maxLinks = 1024

// Config is what a Source needs.
type Config struct {
	// Deliver takes every report, from the goroutine of Run; it must not block.
	Deliver func(pvd.Report)
	Bus     string // address of the message bus, "" for the system's
}

// Source follows what NetworkManager knows. Make one with New.
type Source struct {
	config Config
	log    *slog.Logger
	wake   chan struct{} // 1: full means that there is something to ask already

	mu    sync.Mutex
	links []netwatch.Link
}

// New returns a Source that follows no link yet.
func New(config Config, log *slog.Logger) *Source {
	return &Source{config: config, log: log, wake: make(chan struct{}, 1)}
}

// Watch replaces the links that are followed. Safe for concurrent use.
func (s *Source) Watch(links ...netwatch.Link) {
	links = slices.Clone(links[:min(len(links), maxLinks)])
	s.mu.Lock()
	same := slices.Equal(s.links, links)
	s.links = links
	s.mu.Unlock()
	if !same {
		s.ring()
	}
}

func (s *Source) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run asks and listens until ctx ends. Where NetworkManager does not run, or
// serves another network namespace, there is nothing to hear; what a NetworkManager
// that is gone has said is withdrawn.
func (s *Source) Run(ctx context.Context) error {
	said := make(map[int][]pvd.Report)
	for {
		if err := s.follow(ctx, said); err != nil {
			s.log.Debug("NetworkManager is not asked", "error", err)
		}
		s.forget(said, nil)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// follow keeps said true while NetworkManager is there.
func (s *Source) follow(ctx context.Context, said map[int][]pvd.Report) error {
	start, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	conn, err := bus.Connect(start, s.config.Bus)
	if err != nil {
		return err
	}
	defer conn.Close()
	owner, err := bus.Owner(start, conn, service)
	if err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 16) // one that finds it full is lost: another is there to wake us
	conn.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(owner), dbus.WithMatchPathNamespace(root)},
		{dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)},
	} {
		if err := conn.AddMatchSignalContext(start, match...); err != nil {
			return err
		}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := s.read(ctx, conn, said); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(leastWait):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-conn.Context().Done():
			return conn.Context().Err()
		case <-signals:
		case <-s.wake:
		case <-tick.C:
		}
		for len(signals) > 0 {
			<-signals
		}
	}
}

// read delivers what has changed since said.
func (s *Source) read(ctx context.Context, conn *dbus.Conn, said map[int][]pvd.Report) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	devices, err := read(ctx, conn)
	if err != nil {
		return err
	}
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	there := make(map[int]bool, len(links))
	for _, l := range links {
		k, ok := devices[l.Name]
		if !ok {
			continue
		}
		there[l.Index] = true
		now := k.reports(l.Index, time.Time{})
		if reflect.DeepEqual(now, said[l.Index]) {
			continue
		}
		said[l.Index] = now
		for _, r := range now {
			r.Received = time.Now()
			s.config.Deliver(r)
		}
	}
	s.forget(said, there)
	return nil
}

// forget withdraws what was said of links that are not there any more.
func (s *Source) forget(said map[int][]pvd.Report, there map[int]bool) {
	for index, all := range said {
		if there[index] {
			continue
		}
		delete(said, index)
		for _, r := range all {
			now := time.Now()
			s.config.Deliver(pvd.Report{Origin: r.Origin, Ifindex: index, Received: now, Until: now})
		}
	}
}
