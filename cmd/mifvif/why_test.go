package main

import (
	"strings"
	"testing"
)

// TestExplainKnowsWhatIsNotCarried: the host's own addresses, which no app reaches by
// mif0, and how IPv4 is written in IPv6.
func TestExplainKnowsWhatIsNotCarried(t *testing.T) {
	s := newSite(t, "")
	for _, target := range []string{"10.1.0.2", "2001:db8:1::2", "0.0.0.0", "::", "127.0.0.1", "198.18.0.2", "::ffff:127.0.0.1"} {
		if exit := s.cli("explain", target); exit.Code != exitUsage || !strings.Contains(exit.Stderr, "is never put on an uplink") {
			t.Errorf("explain %s: %v", target, exit)
		}
	}
	if exit := s.cli("explain", "::ffff:203.0.113.80"); !strings.Contains(exit.Stdout, "-> 203.0.113.80:443\n") {
		t.Errorf("explain of IPv4 in IPv6: %v", exit)
	}
}
