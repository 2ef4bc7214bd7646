package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mifvif/flow"
	"mifvif/scheduler"
)

// maxRules bounds a policy.
const maxRules = 10000

// RuleName is what a rule without name is called, by its place in the file from 0.
func RuleName(i int) string { return fmt.Sprintf("rule-%d", i+1) }

func (r *reader) rules(cfg *Config, list []rawRule) {
	if len(list) > maxRules {
		r.at("$.rules", "%d rules are too many (at most %d)", len(list), maxRules)
		return
	}
	names := make(map[string]bool)
	for i, in := range list {
		at := fmt.Sprintf("$.rules[%d]", i)
		if in.Name == "" {
			in.Name = RuleName(i)
		} else if names[in.Name] {
			r.at(at+".name", "there are two rules named %q (names are unique)", in.Name)
		}
		names[in.Name] = true
		cfg.Policy.Rules = append(cfg.Policy.Rules, r.rule(at, in, cfg.Policy.OnRecovery))
	}
	r.idle(cfg.Policy.Rules)
}

// rule reads one rule; recovery is what the defaults do on recovery.
func (r *reader) rule(at string, in rawRule, recovery scheduler.OnRecovery) scheduler.Rule {
	out := scheduler.Rule{
		Name: in.Name, Actor: scheduler.Admin, Match: r.match(at+".match", in.Match),
		Require: in.Require, Prefer: in.Prefer, Forbid: in.Forbid,
		Algorithm: pickWord(r, at+".algorithm", "algorithm", in.Algorithm, algorithms(), scheduler.Inherit),
		Affinity:  pickWord(r, at+".affinity", "affinity", in.Affinity, affinities(), scheduler.AffinityInherit),
		OnFailure: pickWord(r, at+".on_failure", "on_failure", in.OnFailure, failures(), scheduler.FailInherit),
	}
	out.Race = in.Race
	if in.Locked {
		out.Actor = scheduler.Locked
	}
	out.OnRecovery = pickWord(r, at+".on_recovery", "on_recovery", in.OnRecovery, recoveries(), scheduler.RecoverInherit)
	out.RecoveryDeadline = r.recoveryDeadline(at+".recovery_deadline", in.RecoveryDeadline, cmp.Or(out.OnRecovery, recovery))
	out.MPTCP = pickWord(r, at+".mptcp", "mptcp", in.MPTCP, mptcps(), scheduler.MultipathInherit)
	if in.MPTCP != "" && len(out.Match.Protos) > 0 && !slices.Contains(out.Match.Protos, flow.TCP) {
		r.futile(at+".mptcp", "mptcp has no effect here: it is about TCP (add tcp to proto, or leave it out)")
		out.MPTCP = scheduler.MultipathInherit // the host is not made ready for what nobody gets
	}
	out.Path = pickWord(r, at+".path", "path", in.Path, paths(), scheduler.PathInherit)
	r.translated(at+".path", &out)
	if in.Race && len(in.Require) > 0 {
		r.at(at+".race", "race: what is required does not race (prefer, or leave race out)")
	}
	r.effects(at, in)
	return out
}

// translated finds a rule that wants TCP translated and something else that stands
// against it.
func (r *reader) translated(at string, rule *scheduler.Rule) {
	switch {
	case rule.Path != scheduler.PathTranslate:
	case len(rule.Match.Protos) > 0 && !slices.Contains(rule.Match.Protos, flow.TCP):
		r.futile(at, "path has no effect here: it is about TCP (add tcp to proto, or leave it out)")
		rule.Path = scheduler.PathInherit
	case rule.MPTCP == scheduler.MultipathAuto || rule.MPTCP == scheduler.MultipathRequire:
		r.at(at, "path: Multipath TCP is not translated (mptcp: off, or leave path out)")
	case rule.OnFailure == scheduler.FailHold:
		r.at(at, "path: what is held is not translated (another on_failure, or leave path out)")
	case rule.Race:
		r.at(at, "path: what is translated does not race (leave race or path out)")
	}
}

// effects finds a rule that can leave nothing, or does nothing.
func (r *reader) effects(at string, in rawRule) {
	for key, names := range map[string][]string{"require": in.Require, "prefer": in.Prefer, "forbid": in.Forbid} {
		seen := make(map[string]bool)
		for i, name := range names {
			place := fmt.Sprintf("%s.%s[%d]", at, key, i)
			switch {
			case name == "":
				r.at(place, "%s: a domain without name", key)
			case seen[name]:
				r.at(place, "%s names %q twice", key, name)
			}
			seen[name] = true
		}
	}
	left := 0
	for _, name := range in.Require {
		if !slices.Contains(in.Forbid, name) {
			left++
		}
	}
	if len(in.Require) > 0 && left == 0 {
		r.at(at, "rule %q forbids every domain that it requires, so it refuses everything (take them out of one list)", in.Name)
	}
	if len(in.Require)+len(in.Prefer)+len(in.Forbid) == 0 && in.Algorithm+in.Affinity+in.OnFailure+in.OnRecovery+in.MPTCP+in.Path == "" && !in.Race {
		r.at(at, "rule %q has no effect (require, prefer, forbid, algorithm, affinity, on_failure, on_recovery, mptcp, path or race)", in.Name)
	}
}

func (r *reader) match(at string, in rawMatch) scheduler.Match {
	m := scheduler.Match{
		Dst: r.prefixes(at+".dst", "dst", in.Dst), Src: r.prefixes(at+".src", "src", in.Src),
		Ports: r.ports(at+".port", in.Port), Protos: r.protos(at+".proto", in.Proto), DSCP: r.dscps(at+".dscp", in.DSCP),
		Names: r.patterns(at+".name", in.Name), Ingress: r.ingress(at+".ingress", in.Ingress), Users: r.users(at+".user", in.User),
		Processes: r.processes(at+".process", in.Process), Cgroups: r.cgroups(at+".cgroup", in.Cgroup), When: r.windows(at+".when", in.When),
	}
	if len(m.Ingress) > 0 && len(m.Users)+len(m.Processes)+len(m.Cgroups) > 0 {
		r.at(at, "the rule can never match: ingress is about other hosts, user, process and cgroup about this one")
	}
	if len(m.Ports) > 0 && len(m.Protos) == 1 && m.Protos[0] == flow.ICMP {
		r.at(at+".port", "port cannot match: ICMP has no ports (leave port out, or proto: [tcp, udp])")
	}
	if families(m.Dst) != "" && families(m.Src) != "" && families(m.Dst) != families(m.Src) {
		r.at(at, "the rule can never match: dst is %s and src is %s", families(m.Dst), families(m.Src))
	}
	return m
}

func (r *reader) defaults(cfg *Config, in *rawDefaults) {
	if in == nil {
		return
	}
	p := &cfg.Policy
	p.Algorithm = pickWord(r, "$.defaults.algorithm", "algorithm", in.Algorithm, algorithms(), p.Algorithm)
	p.Affinity = pickWord(r, "$.defaults.affinity", "affinity", in.Affinity, affinities(), p.Affinity)
	p.OnFailure = pickWord(r, "$.defaults.on_failure", "on_failure", in.OnFailure, failures(), p.OnFailure)
	p.OnRecovery = pickWord(r, "$.defaults.on_recovery", "on_recovery", in.OnRecovery, recoveries(), p.OnRecovery)
	p.Path = pickWord(r, "$.defaults.path", "path", in.Path, paths(), p.Path)
}

// validName reports whether s can be a domain name.
func validName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	return len(s) <= 253 && regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`).MatchString(s)
}
