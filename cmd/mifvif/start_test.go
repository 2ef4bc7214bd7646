package main

import (
	"strings"
	"testing"

	"mifvif/netwatch"
)

// TestTheStartTellsNoTales: a declared domain whose interface is there was never
// gone, and draining one is no reload.
func TestTheStartTellsNoTales(t *testing.T) {
	s := newSite(t, "pvds: [{interface: e1}, {name: corp, interface: e2, next_hops: [10.2.0.1]}]\n")
	if log := s.daemon.Log(); strings.Contains(log, "offline") {
		t.Errorf("the daemon says at its start:\n%s", log)
	}
	told := make(chan string, 1)
	go func() {
		exit, err := s.Host.Exec(t.Context(), "timeout", "2", s.binary, "watch", "--socket", "/run/mifvif/control.sock")
		if err != nil {
			t.Error(err)
		}
		told <- exit.Stdout
	}()
	for {
		select {
		case events := <-told:
			if !strings.Contains(events, "it was drained by hand") || strings.Contains(events, "reload") {
				t.Errorf("of a domain that was drained is told:\n%s", events)
			}
			return
		default: // the one who listens may not do so yet
			for _, what := range []string{"drain", "undrain"} {
				if exit := s.cli(what, "corp"); exit.Code != 0 {
					t.Fatal(exit)
				}
			}
		}
	}
}

func TestLANsThatAreNotThereAreSaid(t *testing.T) {
	got := missingLANs([]string{"br-lan", "br9"}, []netwatch.Link{{Name: "lo"}, {Name: "br-lan"}})
	if len(got) != 1 || !strings.Contains(got[0], `"br9"`) {
		t.Errorf("missing are %q, want br9 alone", got)
	}
}
