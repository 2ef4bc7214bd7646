package config

import (
	"time"

	"mifvif/scheduler"
)

// How long flows may stay in use on a domain that is not the best any more, where
// move-idle says nothing of it, and the longest that can be said.
const (
	recoveryDeadline    = 10 * time.Minute
	maxRecoveryDeadline = 30 * 24 * time.Hour
)

// recoveryDeadline reads when a recovery ends the flows that are in use; "" is
// the usual time, and 0 never. word is what the rule does on recovery, its own or
// the defaults'.
func (r *reader) recoveryDeadline(at, s string, word scheduler.OnRecovery) time.Duration {
	if s == "" {
		return recoveryDeadline
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || d < 0 || d > maxRecoveryDeadline || d > 0 && d < time.Second:
		r.at(at, "recovery_deadline: %q is no time (1s to 720h, such as 10m; 0s: never)", s)
	case word != scheduler.RecoverMoveIdle:
		r.futile(at, "recovery_deadline has no effect here (the rule needs on_recovery: move-idle)")
	}
	return d
}
