package scheduler

import (
	"mifvif/flow"
	"mifvif/pvd"
)

// path says what becomes of the flow here where first is the first candidate: what
// stands against translation one after the other.
func (s *stage) path(first *pvd.Domain) (Path, string) {
	asked := s.asked()
	_, direct := firstSource(first, s.f.Dst.Addr())
	way := s.way(first)
	for _, no := range []struct {
		holds bool
		why   string
	}{
		{s.f.Proto != flow.TCP, ""},
		{asked == PathTerminate, pathAsked},
		{!s.translates, pathUnable},
		{s.multipath(), pathMultipath},
		{!direct && !s.f.Dst.Addr().IsUnspecified(), pathNAT64},
		{s.held(), pathHeld},
		{s.f.Confined, pathConfined},
		{asked != PathTranslate && s.v.race > 1 && s.v.by == Fastest, pathRace},
		{asked != PathTranslate && s.v.race > 1 && someOf(s.spoke, func(r *Rule) bool { return r.Race }), pathRace},
		{asked != PathTranslate && way.failures > 0, pathSilent},
		{asked != PathTranslate && way.rtt == 0, pathUnknown},
	} {
		if no.holds {
			return PathTerminate, no.why
		}
	}
	if asked == PathTranslate {
		return PathTranslate, pathAsked
	}
	return PathTranslate, pathIdle
}

// asked is the word of the strongest rule that has one.
func (s *stage) asked() Path {
	for _, r := range s.spoke {
		if r.Path != PathInherit {
			return r.Path
		}
	}
	return s.policy.Path
}

func (s *stage) multipath() bool {
	for _, r := range s.spoke {
		if r.MPTCP != MultipathInherit {
			return r.MPTCP != MultipathOff
		}
	}
	return s.f.Multipath
}

func (s *stage) held() bool {
	for _, r := range s.spoke {
		if r.OnFailure != FailInherit {
			return r.OnFailure == FailHold
		}
	}
	return s.policy.OnFailure == FailHold
}
