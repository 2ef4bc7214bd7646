package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mifvif/control"
	"mifvif/scheduler"
)

// matchKeys are the keys of a match in the order in which they are shown.
func matchKeys() []string {
	return []string{"dst", "proto", "port", "name", "dscp", "src", "ingress", "user", "process", "cgroup", "when"}
}

// matched restates what a rule matches by the keys of the configuration; what it
// does not name is not there.
func matched(m *scheduler.Match) map[string][]string {
	out := make(map[string][]string)
	put(out, "dst", m.Dst)
	put(out, "src", m.Src)
	put(out, "proto", m.Protos)
	put(out, "dscp", m.DSCP)
	put(out, "name", m.Names)
	put(out, "ingress", m.Ingress)
	put(out, "user", m.Users)
	put(out, "process", m.Processes)
	put(out, "cgroup", m.Cgroups)
	for _, p := range m.Ports {
		text := strconv.Itoa(int(p.First))
		if p.Last != p.First {
			text += "-" + strconv.Itoa(int(p.Last))
		}
		out["port"] = append(out["port"], text)
	}
	for _, w := range m.When {
		out["when"] = append(out["when"], window(w))
	}
	return out
}

// put restates one list of a match.
func put[T any](out map[string][]string, key string, list []T) {
	for _, v := range list {
		out[key] = append(out[key], fmt.Sprint(v))
	}
}

// window restates a part of the week: its days, and its hours unless they are all.
func window(w scheduler.Window) string {
	var days []string
	for d := range time.Saturday + 1 {
		if w.Days[d] {
			days = append(days, strings.ToLower(d.String()[:3]))
		}
	}
	text := strings.Join(days, ",")
	if w.First != w.Last {
		text += fmt.Sprintf(" %02d:%02d-%02d:%02d", w.First/60, w.First%60, w.Last/60, w.Last%60)
	}
	return text
}

// criteria is a match for people, in one cell of a table.
func criteria(match map[string][]string) string {
	var out []string
	for _, key := range matchKeys() {
		if list := match[key]; len(list) > 0 {
			out = append(out, key+"="+strings.Join(list, ","))
		}
	}
	if len(out) == 0 {
		return "everything"
	}
	return strings.Join(out, " ")
}

// algorithmWord is the configuration's word for an algorithm, "" for that of the
// defaults.
func algorithmWord(a scheduler.Algorithm) string {
	words := []string{"", "weighted", "priority", "overflow", "least-used", "lowest-latency", "fastest", "persistent"}
	return words[min(int(a), len(words)-1)]
}

func affinityWord(a scheduler.Affinity) string {
	return []string{"", "none", "destination", "site", "source"}[a]
}

func failureWord(f scheduler.OnFailure) string {
	return []string{"", "auto", "reset", "migrate", "hold"}[f]
}

func recoveryWord(r scheduler.OnRecovery) string {
	return []string{"", "stay", "move-idle", "reset"}[r]
}

// others restates, as key=word, what a rule says that has no column of its own.
func others(r control.RuleInForce) []string {
	var out []string
	for _, s := range []struct{ key, word string }{
		{"affinity", r.Affinity}, {"on_failure", r.OnFailure}, {"on_recovery", r.OnRecovery}, {"mptcp", r.MPTCP},
	} {
		if s.word != "" {
			out = append(out, s.key+"="+s.word)
		}
	}
	if r.Race {
		out = append(out, "race")
	}
	return out
}

// orEmpty is a list that JSON writes as one.
func orEmpty(list []string) []string { return append([]string{}, list...) }
