package config

import (
	"fmt"
	"strings"

	"mifvif/scheduler"
)

// word is one allowed value of a key.
type word[T any] struct {
	name  string
	value T
}

func algorithms() []word[scheduler.Algorithm] {
	return []word[scheduler.Algorithm]{
		{name: "weighted", value: scheduler.Weighted},
		{name: "priority", value: scheduler.Priority},
		{name: "overflow", value: scheduler.Overflow},
		{name: "least-used", value: scheduler.LeastUsed},
		{name: "lowest-latency", value: scheduler.LowestLatency},
		{name: "fastest", value: scheduler.Fastest},
		{name: "persistent", value: scheduler.Persistent},
	}
}

func affinities() []word[scheduler.Affinity] {
	return []word[scheduler.Affinity]{
		{name: "none", value: scheduler.AffinityNone},
		{name: "destination", value: scheduler.AffinityDestination},
		{name: "site", value: scheduler.AffinitySite},
		{name: "source", value: scheduler.AffinitySource},
	}
}

func failures() []word[scheduler.OnFailure] {
	return []word[scheduler.OnFailure]{
		{name: "auto", value: scheduler.FailAuto},
		{name: "reset", value: scheduler.FailReset},
		{name: "migrate", value: scheduler.FailMigrate},
		{name: "hold", value: scheduler.FailHold},
	}
}

func recoveries() []word[scheduler.OnRecovery] {
	return []word[scheduler.OnRecovery]{
		{name: "stay", value: scheduler.RecoverStay},
		{name: "move-idle", value: scheduler.RecoverMoveIdle},
		{name: "reset", value: scheduler.RecoverReset},
	}
}

func paths() []word[scheduler.Path] {
	return []word[scheduler.Path]{
		{name: "auto", value: scheduler.PathAuto},
		{name: "terminate", value: scheduler.PathTerminate},
		{name: "translate", value: scheduler.PathTranslate},
	}
}

func mptcps() []word[scheduler.MPTCP] {
	return []word[scheduler.MPTCP]{
		{name: "auto", value: scheduler.MultipathAuto},
		{name: "off", value: scheduler.MultipathOff},
		{name: "require", value: scheduler.MultipathRequire},
	}
}

// pickWord returns the value of a word, or notes the problem; "" is fallback.
func pickWord[T any](r *reader, path, key, got string, words []word[T], fallback T) T {
	if got == "" {
		return fallback
	}
	var have []string
	for _, w := range words {
		if w.name == got {
			return w.value
		}
		have = append(have, w.name)
	}
	r.at(path, "unknown %s %q%s (%s)", key, got, meant(got, have), strings.Join(have, ", "))
	return fallback
}

// meant returns a hint at the nearest of some words, "" if none is near.
func meant(got string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		if d := edits(got, w); d < distance {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// edits is the Levenshtein distance of two short words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, prev+cost)
			prev, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
