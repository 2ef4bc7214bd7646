package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/flow"
	"mifvif/pvd"
)

// TestNewsOfFlowsAreFewAndTrue: one event for a flow, however many of its packets
// are refused, and no more in a second than listeners can take.
func TestNewsOfFlowsAreFewAndTrue(t *testing.T) {
	var told []string
	now := time.Unix(1_000_000, 0)
	n := newNews(func(kind, domain, detail string) { told = append(told, kind+" "+domain+" "+detail) })
	n.now = func() time.Time { return now }
	f := flow.Flow{Proto: flow.UDP, Src: netip.MustParseAddrPort("198.18.0.1:4000"), Dst: netip.MustParseAddrPort("203.0.113.80:53")}
	for range 1000 {
		n.Refused(f, "the rule leaves no usable domain")
	}
	n.Moved(f, &pvd.Domain{Name: "e1"}, &pvd.Domain{Name: "e2"}, "failure")
	want := []string{
		"flow.refused  udp 198.18.0.1:4000 -> 203.0.113.80:53: the rule leaves no usable domain",
		"flow.moved e2 udp 198.18.0.1:4000 -> 203.0.113.80:53: e1 -> e2 (failure)",
	}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
	told = nil
	for port := range uint16(60_000) {
		f.Dst = netip.AddrPortFrom(f.Dst.Addr(), port+1)
		n.Refused(f, "no")
	}
	if len(told) != newsBurst-2 || len(n.refused) > refusedKept {
		t.Errorf("%d events and %d flows kept of a flood, want %d and at most %d", len(told), len(n.refused), newsBurst-2, refusedKept)
	}
	now, told = now.Add(refusedAgain), nil
	n.Refused(f, "no")
	if len(told) != 2 || !strings.HasPrefix(told[0], "warning  59951 events") || !strings.HasPrefix(told[1], "flow.refused") {
		t.Errorf("after the flood %q, want how many were not told, and the flow again", told)
	}
	if got := n.moved()["failure"]; got != 1 {
		t.Errorf("%d moves counted, want 1", got)
	}
}

// TestMovesAreCountedFromNothing: who scrapes a counter sees it before it counts.
func TestMovesAreCountedFromNothing(t *testing.T) {
	got := newNews(nil).moved()
	if diff := cmp.Diff(map[string]uint64{"failure": 0, "recovery": 0, "owner": 0}, got); diff != "" {
		t.Error(diff)
	}
}

// TestAWarningThatBeginsIsAnEvent, once for as long as it stands.
func TestAWarningThatBeginsIsAnEvent(t *testing.T) {
	var told []string
	tell := func(kind, _, detail string) { told = append(told, kind+": "+detail) }
	w := begun(nil, []string{"a"}, tell)
	w = begun(w, []string{"a", "b"}, tell)
	w = begun(w, nil, tell)
	begun(w, []string{"b"}, tell)
	if diff := cmp.Diff([]string{"warning: a", "warning: b", "warning: b"}, told); diff != "" {
		t.Error(diff)
	}
}
