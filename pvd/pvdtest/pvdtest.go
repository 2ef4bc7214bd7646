// Package pvdtest is what the tests of several sources do alike.
package pvdtest

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"mifvif/pvd"
)

// Run runs a source until the returned function is called, which waits for its end
// and has the test fail if that was an error.
func Run(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Octets reads hexadecimal digits, between which there may be blanks.
func Octets(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Rest is what DHCP servers say besides routes and resolvers, in words.
func Rest(r pvd.Report) (out []string) {
	for _, x := range r.Zones {
		out = append(out, "zone "+x.Name)
	}
	for _, x := range r.Search {
		out = append(out, "search "+x.Name)
	}
	for _, x := range r.NTP {
		name := x.Name
		if name == "" {
			name = x.Addr.String()
		}
		out = append(out, "ntp "+name)
	}
	for _, x := range r.Designated {
		out = append(out, "named "+x.Name)
	}
	for _, x := range r.Selection {
		out = append(out, "selection "+x.Prefix.String())
	}
	if r.Portal.URI != "" {
		out = append(out, "portal "+r.Portal.URI)
	}
	return out
}

// Lines are the objects of a report that managers of leases know of, in words.
func Lines(r pvd.Report) (out []string) {
	for _, x := range r.NextHops {
		out = append(out, "hop "+x.Addr.String())
	}
	for _, x := range r.Routes {
		out = append(out, "route "+x.Dst.String())
	}
	for _, x := range r.Resolvers {
		out = append(out, "dns "+x.Addr.Addr().String())
	}
	for _, x := range r.NTP {
		out = append(out, "ntp "+x.Addr.String())
	}
	for _, x := range r.Search {
		out = append(out, "search "+x.Name)
	}
	for _, x := range r.Zones {
		out = append(out, "zone "+x.Name)
	}
	return out
}
