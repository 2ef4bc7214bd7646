package main

import (
	"strings"
	"testing"

	"mifvif/lab/labtest"
	"mifvif/netwatch"
)

// TestTheStartTellsNoTales: a declared domain whose interface is there was never
// gone, and draining one is no reload.
func TestTheStartTellsNoTales(t *testing.T) {
	s := newSite(t, "pvds: [{interface: e1}, {name: corp, interface: e2, next_hops: [10.2.0.1]}]\n")
	if log := s.daemon.Log(); strings.Contains(log, "offline") {
		t.Errorf("the daemon says at its start:\n%s", log)
	}
	events, err := s.daemon.Watch()
	must(t, err)
	var told string
	labtest.Eventually(t, "the watcher hears that it is drained", func() bool {
		for _, what := range []string{"drain", "undrain"} { // the one who listens may not have done so the last time
			if exit := s.cli(what, "corp"); exit.Code != 0 {
				t.Fatal(exit)
			}
		}
		told = strings.Join(events(), "\n")
		return strings.Contains(told, "it was drained by hand")
	})
	if strings.Contains(told, "reload") {
		t.Errorf("of a domain that was drained is told:\n%s", told)
	}
}

func TestLANsThatAreNotThereAreSaid(t *testing.T) {
	got := missingLANs([]string{"br-lan", "br9"}, []netwatch.Link{{Name: "lo"}, {Name: "br-lan"}})
	if len(got) != 1 || !strings.Contains(got[0], `"br9"`) {
		t.Errorf("missing are %q, want br9 alone", got)
	}
}
