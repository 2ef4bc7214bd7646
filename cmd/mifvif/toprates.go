package main

import (
	"time"

	"mifvif/control"
)

// sample is one look at the daemon.
type sample struct {
	at      time.Time // of the status
	flowsAt time.Time
	took    time.Duration
	status  control.Status
	flows   []control.Flow
	err     error
}

// speed is what was carried between two looks, in bits/s; known is false where
// there was no look before.
type speed struct {
	up, down uint64
	known    bool
}

// shown is a flow with its speed.
type shown struct {
	control.Flow
	speed
}

// total is the speed of both directions.
func (s speed) total() uint64 { return s.up + s.down }

// bytes are those of both directions.
func (s shown) bytes() uint64 { return s.TxBytes + s.RxBytes }

// flowSpeeds returns the flows of the newer look with their speeds. A flow that the
// older one does not have began after it, with nothing. The older look may be the
// zero sample.
func flowSpeeds(old, now *sample) []shown {
	before := make(map[string]*control.Flow, len(old.flows))
	for i := range old.flows {
		before[old.flows[i].ID] = &old.flows[i]
	}
	between := now.flowsAt.Sub(old.flowsAt)
	out := make([]shown, len(now.flows))
	for i, f := range now.flows {
		out[i].Flow = f
		if old.flowsAt.IsZero() || between <= 0 {
			continue
		}
		was := before[f.ID]
		if was == nil || !was.Started.Equal(f.Started) { // else the daemon has counted anew
			was = &control.Flow{}
		}
		out[i].speed = speed{up: perSecond(was.TxBytes, f.TxBytes, between), down: perSecond(was.RxBytes, f.RxBytes, between), known: true}
	}
	return out
}

// domainSpeeds returns what the flows of each domain of the newer look carried, by
// name.
func domainSpeeds(old, now *sample) map[string]speed {
	out := make(map[string]speed, len(now.status.PvDs))
	between := now.at.Sub(old.at)
	if old.at.IsZero() || between <= 0 {
		return out
	}
	before := make(map[string]*control.PvD, len(old.status.PvDs))
	for i := range old.status.PvDs {
		before[old.status.PvDs[i].Name] = &old.status.PvDs[i]
	}
	for _, p := range now.status.PvDs {
		if was := before[p.Name]; was != nil {
			out[p.Name] = speed{up: perSecond(was.TxBytes, p.TxBytes, between), down: perSecond(was.RxBytes, p.RxBytes, between), known: true}
		}
	}
	return out
}

// perSecond returns the bits/s of a counter of bytes, zero where it has gone back.
func perSecond(was, is uint64, between time.Duration) uint64 {
	if is <= was {
		return 0
	}
	return uint64(float64(is-was) * 8 / between.Seconds())
}
