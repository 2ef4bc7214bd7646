package config

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mifvif/scheduler"
)

// maxUserRules bounds the rules of one user.
const maxUserRules = 1000

// rawUser is a user's file: rules and nothing else.
type rawUser struct {
	Rules []rawRule `yaml:"rules"`
}

// usersDirs are where users' rules are kept, for the configuration at path: beside
// it, and beside the usual one.
func usersDirs(path string) []string {
	return []string{filepath.Join(filepath.Dir(path), "users"), filepath.Join(filepath.Dir(DefaultPath), "users")}
}

// UserFile returns where the rules of a user are kept: beside the configuration at
// path, unless there are none and those beside the usual configuration are there.
func UserFile(path, name string) string { return userFile(usersDirs(path), name) }

// userFile returns the user's file in the first directory that has one, in the first
// of all if none has.
func userFile(dirs []string, name string) string {
	for _, dir := range dirs {
		if file := filepath.Join(dir, name+".yaml"); exists(file) {
			return file
		}
	}
	return filepath.Join(dirs[0], name+".yaml")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// AddUsers reads the rules of all users, for the configuration at path, and puts
// them into the policy. They are about those users' own flows whatever they say.
// What is wrong with a file is an *Error; rules that a locked one overrules go to
// Warnings, and so does a file whose user is gone: that must not keep the host from
// its networks.
func (c *Config) AddUsers(path string) error { return c.addUsers(usersDirs(path)) }

func (c *Config) addUsers(dirs []string) error {
	var names []string
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil {
			return fmt.Errorf("look for users' rules: %w", err)
		}
		for _, file := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(file), ".yaml"))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		file := userFile(dirs, name)
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the rules of %s: %w", name, err)
		}
		if _, err := LookupUser(name); err != nil {
			c.Warnings = append(c.Warnings, Problem{File: file, Line: 1, Col: 1, Message: fmt.Sprintf("there is no user %q on this host: these rules are nobody's", name)})
			continue
		}
		rules, warnings, err := c.ParseUser(file, name, b)
		if err != nil {
			return err
		}
		c.Policy.Rules = append(c.Policy.Rules, rules...)
		c.Warnings = append(c.Warnings, warnings...)
	}
	return nil
}

// ParseUser validates the file of one user against the rules of the
// configuration; file is used in errors only.
func (c *Config) ParseUser(file, name string, content []byte) ([]scheduler.Rule, []Problem, error) {
	r := &reader{file: file, lines: strings.Split(string(content), "\n")}
	var in rawUser
	if !r.decode(content, &in) {
		return nil, nil, r.err()
	}
	uid, err := LookupUser(name)
	if err != nil {
		r.add(1, 1, fmt.Sprintf("there is no user %q on this host (the file is named after its user)", name))
		return nil, nil, r.err()
	}
	var own Config
	r.rules(&own, in.Rules)
	if len(in.Rules) > maxUserRules {
		r.at("$.rules", "%d rules are too many for one user (at most %d)", len(in.Rules), maxUserRules)
	}
	for i := range own.Policy.Rules {
		r.ownOnly(fmt.Sprintf("$.rules[%d]", i), &own.Policy.Rules[i], uid)
	}
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	return own.Policy.Rules, r.overruled(own.Policy.Rules, c.Policy.Rules), nil
}

// ownOnly makes a rule that of a user, about nobody else's flows.
func (r *reader) ownOnly(at string, rule *scheduler.Rule, uid uint32) {
	m := &rule.Match
	switch {
	case rule.Actor == scheduler.Locked:
		r.at(at+".locked", "locked: a user's rule cannot be locked (leave it out)")
	case len(m.Ingress) > 0:
		r.at(at+".match.ingress", "ingress: a user's rules are about own flows on this host (leave it out)")
	case slices.ContainsFunc(m.Users, func(u uint32) bool { return u != uid }):
		r.at(at+".match.user", "user: a user's rules are about own flows only (leave it out)")
	}
	rule.Actor, m.Users = scheduler.User, []uint32{uid}
}

// overruled returns what locked rules of the administrator make of a user's, and
// the user's of the others.
func (r *reader) overruled(rules, admin []scheduler.Rule) []Problem {
	for i := range rules {
		own, at := &rules[i], fmt.Sprintf("$.rules[%d]", i)
		for j := range admin {
			a := &admin[j]
			if a.Actor == scheduler.User || !meet(&a.Match, &own.Match) || !scheduler.Contradict(a, own) {
				continue
			}
			switch {
			case a.Actor == scheduler.Locked && covers(&a.Match, &own.Match):
				r.warn(at, "rule %q contradicts the locked rule %q of the administrator, which stands", own.Name, a.Name)
			case a.Actor == scheduler.Locked:
				r.warn(at, "rule %q is dropped where the locked rule %q of the administrator matches too: no domain satisfies both", own.Name, a.Name)
			case a.Actor == scheduler.Admin:
				r.warn(at, "rule %q stands, and rule %q of the administrator is dropped for its flows: no domain satisfies both", own.Name, a.Name)
			}
		}
	}
	return r.warnings
}

// LookupUser returns the number of a user, by name or number.
func LookupUser(name string) (uint32, error) {
	if u, err := user.Lookup(name); err == nil {
		name = u.Uid
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("look up user %q: %w", name, err)
	}
	return uint32(n), nil
}
