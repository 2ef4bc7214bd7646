package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mifvif/config"
)

// TestRulesAreShownAsTheyAreWritten: what a rule matches can be read off `rules`.
func TestRulesAreShownAsTheyAreWritten(t *testing.T) {
	for rule, want := range map[string]string{
		"match: {dscp: [ef], proto: udp, port: [5060, 10000-20000]}": "proto=udp port=5060,10000-20000 dscp=46",
		"match: {dst: [192.0.2.0/24], name: [\"*.example.com\"]}":    "dst=192.0.2.0/24 name=*.example.com",
		"match: {when: [\"mon-fri 08:00-18:00\", \"sat,sun\"]}":      "when=mon,tue,wed,thu,fri 08:00-18:00,sun,sat",
		"match: {user: [0], process: [curl], cgroup: [/user.slice]}": "user=0 process=curl cgroup=/user.slice",
		"match: {}": "everything",
	} {
		cfg, err := config.Parse("f.yaml", []byte("rules: [{name: a, algorithm: fastest, "+rule+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		r := cfg.Policy.Rules[0]
		if diff := cmp.Diff(want, criteria(matched(&r.Match))); diff != "" {
			t.Errorf("%s:\n%s", rule, diff)
		}
		if got := algorithmWord(r.Algorithm); got != "fastest" {
			t.Errorf("%s: algorithm %q", rule, got)
		}
	}
}

// TestTargetsOfExplain: what can be no name and no flow is said to be none.
func TestTargetsOfExplain(t *testing.T) {
	for target, want := range map[string][2]bool{
		"www.example.com": {true, false}, "host": {true, false}, "a1.": {true, false}, "999.1.1.1": {false, false},
		"1.2.3": {false, false}, "": {false, false}, ".": {false, false}, "a b": {false, false}, "http://x": {false, false},
		"t99": {true, true}, "u1": {true, true}, "u1x": {true, false},
	} {
		if got := [2]bool{nameable(target), flowID(target)}; got != want {
			t.Errorf("%q: nameable, flowID = %v, want %v", target, got, want)
		}
	}
}
