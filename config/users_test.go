package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mifvif/scheduler"
)

// TestUsersRulesAreFoundInTwoPlaces: a user's are those of the first that has any.
func TestUsersRulesAreFoundInTwoPlaces(t *testing.T) {
	own, usual := t.TempDir(), t.TempDir()
	for file, rule := range map[string]string{own + "/4711.yaml": "near", usual + "/4711.yaml": "far", usual + "/4712.yaml": "only"} {
		if err := os.WriteFile(file, []byte("rules: [{name: "+rule+", prefer: [x]}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := Default()
	if err := c.addUsers([]string{own, usual}); err != nil {
		t.Fatal(err)
	}
	if r := c.Policy.Rules; len(r) != 2 || r[0].Name != "near" || r[1].Name != "only" || r[1].Match.Users[0] != 4712 {
		t.Errorf("the rules are %+v, want near and only", r)
	}
	if got := userFile([]string{own, usual}, "4713"); got != own+"/4713.yaml" {
		t.Errorf("who has no rules keeps them at %s, want beside the configuration", got)
	}
	if got := usersDirs("/run/mifvif.yaml"); got[0] != "/run/users" || got[1] != "/etc/mifvif/users" {
		t.Errorf("users' rules are looked for in %q", got)
	}
}

// TestUsersRulesAreAboutTheirOwnFlows reads a directory as the daemon does.
func TestUsersRulesAreAboutTheirOwnFlows(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mifvif.yaml")
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(UserFile(path, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(UserFile(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (*Config, error) {
		cfg, err := Parse(path, []byte("rules:\n  - {name: vpn, locked: true, match: {port: 22}, require: [corp]}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return cfg, cfg.AddUsers(path)
	}
	write("4711", "rules:\n  - {name: mine, prefer: [lte], match: {port: 443}}\n  - {name: ssh, match: {port: 22}, require: [lte]}\n")
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Policy.Rules) != 3 {
		t.Fatalf("%d rules, want 3", len(cfg.Policy.Rules))
	}
	if r := cfg.Policy.Rules[1]; r.Actor != scheduler.User || len(r.Match.Users) != 1 || r.Match.Users[0] != 4711 {
		t.Errorf("a user's rule is %+v", r)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0].String(), `4711.yaml:3:5: rule "ssh" contradicts the locked rule "vpn"`) {
		t.Errorf("warnings %v", cfg.Warnings)
	}
	for content, want := range map[string]string{
		"rules:\n  - {name: a, locked: true, prefer: [x]}\n":             "4711.yaml:2:23: locked: a user's rule cannot be locked",
		"rules:\n  - {name: a, match: {user: root}, prefer: [x]}\n":      "4711.yaml:2:29: user: a user's rules are about own flows only",
		"rules:\n  - {name: a, match: {ingress: lan}, prefer: [x]}\n":    "4711.yaml:2:32: ingress: a user's rules are about own flows",
		"interface: {name: x}\n":                                         `4711.yaml:1:1: unknown key "interface" here: it belongs to another part of the configuration (rules)`,
		"rules:\n  - {name: a, prefer: [x]}\n  - {name: b, prefer: [y]}": `4711.yaml:3:5: rule "b" can never match`,
	} {
		write("4711", content)
		if _, err := load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
	write("4711", "")
	write("nobody-at-all", "")
	cfg, err = load()
	if err != nil {
		t.Fatalf("a user is gone: %v", err)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0].String(), `nobody-at-all.yaml:1:1: there is no user "nobody-at-all"`) {
		t.Errorf("a user is gone: warnings %v", cfg.Warnings)
	}
}
