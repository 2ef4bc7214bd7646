package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mifvif/lab/nd"
)

// expires lets one of a router's objects run out: it goes, and nothing else does,
// neither of the router's domain nor of another.
func expires(ctx context.Context, e *Env) error {
	const lifetime = 3 * time.Second
	if _, err := e.parted(ctx, "a.example.org", "e3"); err != nil {
		return err
	}
	told, err := e.watch(ctx)
	if err != nil {
		return err
	}
	r3a, voice := e.Network("r3a"), e.Advertisers["r3a"]
	short := netip.MustParseAddr("2001:db8:3::99")
	plain := namesItself(r3a).With(nd.Search(time.Hour, "corp.example.org"), nd.Route(netip.MustParsePrefix("2001:db8:3:100::/56"), nd.Medium, time.Hour))
	voice.Set(plain.With(nd.Resolvers(lifetime, short)))
	has := func(d domain) bool { return slices.Contains(d.resolvers(), netip.AddrPortFrom(short, 53).String()) }
	var before map[string]domain
	if err := within(ctx, func() (err error) {
		if before, err = e.domains(ctx); err == nil && !has(before["a.example.org"]) {
			err = fmt.Errorf("the resolver is not in the router's domain: %+v", before["a.example.org"])
		}
		return err
	}); err != nil {
		return err
	}
	voice.Set(plain)
	heard := time.Now()
	var after map[string]domain
	if err := within(ctx, func() (err error) {
		if after, err = e.domains(ctx); err == nil && has(after["a.example.org"]) {
			err = errors.New("the resolver is still there")
		}
		return err
	}); err != nil {
		return err
	}
	if early := time.Since(heard); early < lifetime/2 {
		return fmt.Errorf("the resolver was gone %v after it was last said, want %v", early, lifetime)
	}
	if err := onlyOneObjectLess(before, after, netip.AddrPortFrom(short, 53).String()); err != nil {
		return err
	}
	return eachChangeOnce(told.all())
}

// eachChangeOnce wants one event for what the router said, however often it says it,
// one for what ran out, and none of another domain.
func eachChangeOnce(events []event) error {
	var of []string
	for _, ev := range events {
		if strings.HasPrefix(ev.Type, "pvd.") {
			of = append(of, ev.PvD+" "+ev.Type)
		}
	}
	want := []string{"a.example.org pvd.changed", "a.example.org pvd.changed"}
	if !slices.Equal(of, want) {
		return fmt.Errorf("watch shows %v, want %v: %+v", of, want, events)
	}
	return nil
}

// onlyOneObjectLess compares all objects of all domains.
func onlyOneObjectLess(before, after map[string]domain, gone string) error {
	for name, was := range before {
		for _, o := range was.Objects {
			still := slices.ContainsFunc(after[name].Objects, func(n object) bool {
				return n.Kind == o.Kind && n.Value == o.Value && n.Origin == o.Origin
			})
			if still == (o.Value == gone) {
				return fmt.Errorf("%s %s of %s: still there is %v", o.Kind, o.Value, name, still)
			}
			if o.Value == gone && o.Lifetime == nil {
				return fmt.Errorf("%s is shown without an end", gone)
			}
		}
	}
	return nil
}
