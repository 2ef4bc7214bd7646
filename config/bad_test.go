package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// problemsOf returns the places and first words of what is wrong with a file.
func problemsOf(t *testing.T, content string) []string {
	t.Helper()
	_, err := Parse("f.yaml", []byte(content))
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	var out []string
	if e != nil {
		for _, p := range e.Problems {
			out = append(out, p.String())
		}
	}
	return out
}

// TestBadPolicies: policies that contradict themselves, run in circles, are empty
// or reach nothing are refused with the line and the rule, or mean what they say.
func TestBadPolicies(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"contradictory": {
			"rules:\n  - {name: vpn, locked: true, require: [vpn]}\n  - {name: web, match: {port: 443}, require: [lte]}\n",
			`f.yaml:3:5: rule "web" contradicts the locked rule "vpn"`,
		},
		"contradictory in itself": {
			"rules:\n  - {name: a, require: [x, y], forbid: [y, x]}\n", `f.yaml:2:5: rule "a" forbids every domain that it requires`,
		},
		"an alias of itself":     {"rules: &all\n  - {name: a, require: *all}\n", "f.yaml:"},
		"a circle of two":        {"rules:\n  - &a {name: a, match: *b, prefer: [x]}\n  - &b {name: b, match: *a, prefer: [y]}\n", "f.yaml:"},
		"a merge of itself":      {"rules:\n  - &a\n    <<: *a\n    name: a\n    prefer: [x]\n", "f.yaml:"},
		"an empty rule":          {"rules:\n  - {}\n", `f.yaml:2:5: rule "rule-1" has no effect`},
		"nothing":                {"", ""},
		"no rules":               {"rules: []\n", ""},
		"rules that are no list": {"rules: all\n", "f.yaml:1:8: "},
		"a LAN that is not carried": {
			"router: {lans: [lan0]}\nrules:\n  - {name: a, match: {ingress: [lan1]}, prefer: [x]}\n",
			`f.yaml:3:32: rule "a" can never match: lan1 is not among router.lans`,
		},
		"a LAN that is":           {"router: {lans: [lan0]}\nrules:\n  - {name: a, match: {ingress: [lan1, lan0]}, prefer: [x]}\n", ""},
		"behind a wider pattern":  {"rules:\n  - {name: a, match: {name: [\"*.example.com\"]}, prefer: [x]}\n  - {name: b, match: {name: [www.Example.com]}, prefer: [y]}\n", `f.yaml:3:5: rule "b" can never match: rule "a" before it`},
		"behind a narrower one":   {"rules:\n  - {name: a, match: {name: [www.example.com]}, prefer: [x]}\n  - {name: b, match: {name: [\"*.example.com\"]}, prefer: [y]}\n", ""},
		"beside a pattern":        {"rules:\n  - {name: a, match: {name: [\"*.example.com\"]}, prefer: [x]}\n  - {name: b, match: {name: [example.com]}, prefer: [y]}\n", ""},
		"behind a wider group":    {"rules:\n  - {name: a, match: {cgroup: /apps}, prefer: [x]}\n  - {name: b, match: {cgroup: apps/web}, prefer: [y]}\n", `f.yaml:3:5: rule "b" can never match: rule "a" before it`},
		"beside a group's prefix": {"rules:\n  - {name: a, match: {cgroup: /app}, prefer: [x]}\n  - {name: b, match: {cgroup: /apps}, prefer: [y]}\n", ""},
	} {
		got := problemsOf(t, c.content)
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: %v, want none", name, got)
		case c.want != "" && (len(got) == 0 || !strings.HasPrefix(got[0], c.want)):
			t.Errorf("%s:\n got %v\nwant %s", name, got, c.want)
		}
	}
}

// many returns a policy of n rules that have nothing to do with one another.
func many(n int) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: r%d, match: {dst: [10.%d.%d.0/24]}, prefer: [x]}\n", i, i>>8, i&255)
	}
	return b.String()
}

// TestTenThousandRules: so many are fine, a mistake in the last one has its line,
// and one more is too many.
func TestTenThousandRules(t *testing.T) {
	if got := problemsOf(t, many(maxRules)); len(got) > 0 {
		t.Errorf("%d rules: %v", maxRules, got)
	}
	shadowed := many(maxRules-1) + "  - {name: last, match: {dst: [10.0.7.0/25], port: 22}, require: [x]}\n"
	if got, want := problemsOf(t, shadowed), `f.yaml:10001:5: rule "last" can never match: rule "r7" before it`; len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("the last rule is shadowed:\n got %v\nwant %s", got, want)
	}
	if got := problemsOf(t, many(maxRules+1)); len(got) != 1 || !strings.Contains(got[0], "10001 rules are too many (at most 10000)") {
		t.Errorf("one rule too many: %v", got)
	}
}

// TestContradictionsOfOtherActorsAreWarnings: what a higher actor's rule makes of a
// lower one's is said with its line, and is no mistake.
func TestContradictionsOfOtherActorsAreWarnings(t *testing.T) {
	cfg, err := Parse("f.yaml", []byte(`rules:
  - {name: vpn, locked: true, match: {port: 443}, require: [vpn]}
  - {name: bank, match: {dst: [192.0.2.0/24]}, require: [fiber]}
  - {name: ssh, match: {port: 22}, require: [fiber]}
  - {name: soft, match: {dst: [198.51.100.0/24]}, prefer: [fiber]}
`))
	if err != nil {
		t.Fatal(err)
	}
	_, users, err := cfg.ParseUser("u.yaml", "4711", []byte(`rules:
  - {name: mine, match: {dst: [192.0.2.7]}, require: [lte]}
  - {name: web, match: {port: 443, dst: [203.0.113.0/24]}, require: [lte]}
  - {name: all, match: {proto: udp}, forbid: [vpn]}
  - {name: liked, match: {port: 22, dst: [198.51.100.0/24]}, prefer: [lte]}
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range slices.Concat(cfg.Warnings, users) {
		got = append(got, p.String())
	}
	want := []string{
		`f.yaml:3:5: rule "bank" is dropped where the locked rule "vpn" matches too: no domain satisfies both`,
		`u.yaml:2:5: rule "mine" is dropped where the locked rule "vpn" of the administrator matches too: no domain satisfies both`,
		`u.yaml:2:5: rule "mine" stands, and rule "bank" of the administrator is dropped for its flows: no domain satisfies both`,
		`u.yaml:2:5: rule "mine" stands, and rule "ssh" of the administrator is dropped for its flows: no domain satisfies both`,
		`u.yaml:3:5: rule "web" contradicts the locked rule "vpn" of the administrator, which stands`,
		`u.yaml:4:5: rule "all" is dropped where the locked rule "vpn" of the administrator matches too: no domain satisfies both`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
