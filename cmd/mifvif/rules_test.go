package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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
	for _, unnamed := range []string{"{port: 9}", "{port: 10}"} {
		if content, err = changedRules(content, control.RuleChange{Add: "{match: " + unnamed + ", prefer: [lte]}"}); err != nil {
			t.Fatal(err)
		}
	}
	if content, err = changedRules(content, control.RuleChange{Remove: "rule-3"}); err != nil || !strings.Contains(string(content), "port: 9") || strings.Contains(string(content), "port: 10") {
		t.Errorf("removing a rule that is called by its place: %v, left\n%s", err, content)
	}
	for _, bad := range []string{"nonsense", "[", "", "- a"} {
		if _, err := changedRules(nil, control.RuleChange{Add: bad}); err == nil {
			t.Errorf("%q was taken for a rule", bad)
		}
	}
}

// TestAUsersRuleAboutOthersIsRefused: about somebody else's flows, those of a LAN,
// or above everybody. Neither the file nor what is in force changes.
func TestAUsersRuleAboutOthersIsRefused(t *testing.T) {
	dir := t.TempDir()
	d := &daemon{path: filepath.Join(dir, "mifvif.yaml")}
	before := config.Default()
	d.config.Store(before)
	file := config.UserFile(d.path, "4711")
	for rule, want := range map[string]string{
		"{name: theirs, match: {user: root}, prefer: [lte]}":              "own flows only",
		"{name: both, match: {user: [4711, 4712]}, require: [lte]}":       "own flows only",
		"{name: guests, match: {ingress: lan0}, prefer: [lte]}":           "own flows on this host",
		"{name: above, locked: true, require: [lte]}":                     "cannot be locked",
		"{name: circle, match: {port: [70000]}, prefer: [lte]}":           "is no port",
		"{name: nothing, match: {port: 443}}":                             "has no effect",
		"{name: itself, require: [lte], forbid: [lte], match: {port: 1}}": "forbids every domain that it requires",
	} {
		err := d.changeRules(t.Context(), 4711, control.RuleChange{Add: rule})
		if !errors.As(err, new(control.Mistake)) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "4711.yaml:") {
			t.Errorf("%s: %v, want a mistake with its line: %s", rule, err, want)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is a file of rules (%v)", rule, err)
		}
		if d.config.Load() != before {
			t.Fatalf("%s: another configuration is in force", rule)
		}
	}
}

// TestRulesShowAllTheySay: no word of a rule is kept back, in the words of the file.
func TestRulesShowAllTheySay(t *testing.T) {
	says := func(rule string) string {
		cfg, err := config.Parse("f.yaml", []byte("rules: [{name: a, "+rule+"}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		d := new(daemon)
		d.config.Store(cfg)
		return strings.Join(others(d.rules()[0]), " ")
	}
	for _, key := range []string{"affinity: none destination site source", "on_failure: auto reset migrate hold", "on_recovery: stay move-idle reset", "mptcp: auto off require"} {
		key, words, _ := strings.Cut(key, ": ")
		for word := range strings.FieldsSeq(words) {
			if got := says(key + ": " + word); got != key+"="+word {
				t.Errorf("%s: %s is shown as %q", key, word, got)
			}
		}
	}
	if got := says("race: true"); got != "race" {
		t.Errorf("a race is shown as %q", got)
	}
	if got := says("prefer: [x]"); got != "" {
		t.Errorf("nothing is shown as %q", got)
	}
}

// TestRulesShowWhatTheySayOfThePath: in words and in JSON, and nothing where they say
// nothing.
func TestRulesShowWhatTheySayOfThePath(t *testing.T) {
	cfg, err := config.Parse("f.yaml", []byte("rules:\n  - {name: bulk, match: {port: 873}, path: translate}\n  - {name: rest, prefer: [lte]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	d := new(daemon)
	d.config.Store(cfg)
	var text, object bytes.Buffer
	printRules(&text, d.rules())
	if err := printJSON(&object, d.rules()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text.String(), "\n")
	if !strings.HasSuffix(lines[0], "PATH") || !strings.HasSuffix(lines[1], "translate") || !strings.HasSuffix(lines[2], "-") {
		t.Errorf("shown as\n%s", &text)
	}
	if got := strings.Count(object.String(), `"path": "translate"`); got != 1 || strings.Count(object.String(), `"path"`) != 1 {
		t.Errorf("shown as\n%s", &object)
	}
}
