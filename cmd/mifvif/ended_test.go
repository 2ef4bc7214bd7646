package main

import (
	"encoding/json"
	"testing"

	"mifvif/control"
)

// TestEndedFlowsKeepTheirSource: explain says of a flow that is no more where it
// went, address included, when its socket cannot be asked any longer.
func TestEndedFlowsKeepTheirSource(t *testing.T) {
	s := newSite(t, "rules: [{name: house, prefer: [e2]}]")
	fetched, err := s.Host.Exec(t.Context(), "curl", "-sS", "--max-time", "5", "http://203.0.113.80/")
	must(t, err)
	s.eventually("the flow has ended", func() bool { return len(s.flowsOf("tcp")) == 0 })
	exit := s.cli("explain", "t1", "--json")
	var e control.Explanation
	must(t, json.Unmarshal([]byte(exit.Stdout), &e))
	all, err := s.Host.Addresses("e2")
	must(t, err)
	for _, p := range all {
		if e.Decision != nil && e.Decision.Source == p.Addr().String() {
			return
		}
	}
	t.Errorf("%v: %v, want an address of e2 as source, of %v", fetched, exit, all)
}

// flowsOf returns the live flows of a protocol.
func (s *site) flowsOf(proto string) (out []control.Flow) {
	s.t.Helper()
	var all []control.Flow
	must(s.t, json.Unmarshal([]byte(s.cli("flows", "--json").Stdout), &all))
	for _, f := range all {
		if f.Proto == proto {
			out = append(out, f)
		}
	}
	return out
}
