package main

import (
	"errors"
	"strings"
	"testing"

	"mifvif/config"
	"mifvif/control"
)

// TestUsersChangeTheirOwnFile: what is added is what a file would hold, and the
// rest of the file stays.
func TestUsersChangeTheirOwnFile(t *testing.T) {
	content := []byte("rules:\n  - {name: old, match: {port: [7, 10-20]}, prefer: [lte]}\n")
	content, err := changedRules(content, control.RuleChange{Add: "{name: mine, match: {name: '*.example.com'}, require: [fiber]}"})
	if err != nil {
		t.Fatal(err)
	}
	rules, _, err := config.Default().ParseUser("4711.yaml", "4711", content)
	if err != nil || len(rules) != 2 || rules[0].Name != "old" || rules[1].Name != "mine" || rules[0].Match.Ports[1].Last != 20 {
		t.Fatalf("%v, %v from\n%s", rules, err, content)
	}
	if content, err = changedRules(content, control.RuleChange{Remove: "old"}); err != nil || strings.Contains(string(content), "old") {
		t.Errorf("%v, left\n%s", err, content)
	}
	if _, err := changedRules(content, control.RuleChange{Remove: "old"}); !errors.Is(err, errNoRule) {
		t.Errorf("removing what is not there: %v", err)
	}
	for _, bad := range []string{"nonsense", "[", "", "- a"} {
		if _, err := changedRules(nil, control.RuleChange{Add: bad}); err == nil {
			t.Errorf("%q was taken for a rule", bad)
		}
	}
}
