package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/pvd/dhcp4"
	"mifvif/pvd/dhcp6"
	"mifvif/pvd/lease"
	"mifvif/pvd/networkmanager"
	"mifvif/pvd/ra"
)

// source learns what networks say by one protocol, on the links it is told to
// watch, and delivers it as pvd.Reports.
type source interface {
	// Run hears and delivers until ctx ends and has joined its goroutines by then.
	Run(ctx context.Context) error
}

// sources are all of them, and the way of what they say to the publisher.
type sources struct {
	builder *pvd.Builder
	routers *ra.Source
	dhcp4   *dhcp4.Source
	dhcp6   *dhcp6.Source
	leases  *lease.Source // of systemd-networkd
	manager *networkmanager.Source
	news    chan struct{} // 1: something was said
	log     *slog.Logger
}

func newSources(b *pvd.Builder, log *slog.Logger) *sources {
	s := &sources{builder: b, news: make(chan struct{}, 1), log: log}
	s.routers = ra.New(ra.Config{Deliver: s.deliver}, log)
	s.dhcp4 = dhcp4.New(dhcp4.Config{Deliver: s.deliver}, log)
	s.dhcp6 = dhcp6.New(dhcp6.Config{Deliver: s.deliver}, log)
	s.leases = lease.New(lease.Config{Deliver: s.deliver}, log)
	s.manager = networkmanager.New(networkmanager.Config{Deliver: s.deliver}, log)
	return s
}

// drops counts what networks said and nobody believed.
func (s *sources) drops() map[string]uint64 {
	heard, answered, informed := s.routers.Counters(), s.dhcp4.Counts(), s.dhcp6.Counts()
	return map[string]uint64{
		"adverts_invalid": heard.Invalid, "adverts_limited": heard.Limited, "routers_evicted": heard.Evicted,
		"dhcp4_malformed": answered.Malformed, "dhcp4_foreign": answered.Foreign, "dhcp4_lying": answered.Lying, "dhcp4_objects": answered.Objects,
		"dhcp6_malformed": informed.Malformed, "dhcp6_foreign": informed.Foreign, "dhcp6_objects": informed.Objects,
		"reports_refused": s.builder.Refused(),
	}
}

// deliver takes one report; safe for concurrent use.
func (s *sources) deliver(r pvd.Report) {
	if s.builder.Learn(r) {
		latest(s.news, struct{}{})
	}
}

// watch has the sources that listen follow the links of a state: those
// that are up and not ignored.
func (s *sources) watch(st netwatch.State, heeded func(ifname string) bool) {
	var links []netwatch.Link
	for _, l := range st.Links {
		if !l.Loopback && l.Up && l.Carrier && heeded(l.Name) {
			links = append(links, l)
		}
	}
	s.routers.Watch(links...)
	s.leases.Watch(links...)
	s.manager.Watch(links...)
}

// run runs every source until ctx ends. One that fails is missed, no more: its
// networks are known by what the others and the kernel say.
func (s *sources) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, one := range []source{s.routers, s.dhcp4, s.dhcp6, s.leases, s.manager} {
		running.Go(func() {
			if err := one.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				s.log.Warn("a source of provisioning domains has stopped", "error", err)
			}
		})
	}
	running.Wait()
}
