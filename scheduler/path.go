package scheduler

import (
	"time"

	"mifvif/flow"
)

// Path is what becomes of a TCP flow here: it ends here and goes on over a
// connection of ours, or it stays one from the app to the server, and only its
// addresses are rewritten (contract: path).
type Path uint8

// The words of path. A Decision is PathTerminate or PathTranslate.
const (
	PathInherit   Path = iota // what the defaults say, PathAuto if nothing
	PathAuto                  // PathTranslate where nothing is to be gained by PathTerminate
	PathTerminate             // whatever mifvif can do for a flow
	PathTranslate             // end to end, where that is all the flow needs
)

// String returns the word of the configuration; PathInherit has none.
func (p Path) String() string {
	switch p {
	case PathAuto:
		return "auto"
	case PathTerminate:
		return "terminate"
	case PathTranslate:
		return "translate"
	}
	return ""
}

// Why a TCP flow is terminated or translated.
const (
	pathAsked     = "a rule or the defaults say so"
	pathUnable    = "this host cannot translate in the kernel"
	pathMultipath = "it may use several domains at a time"
	pathNAT64     = "the destination is reached over NAT64"
	pathHeld      = "it is to outlive its domain"
	pathConfined  = "its command was started for one domain"
	pathRace      = "the first domains are to be tried at once"
	pathUnknown   = "nothing is known of the path yet"
	pathSilent    = "the last connect there got no answer"
	pathIdle      = "there is nothing to gain from terminating it"
)

// Translates says whether this host can translate TCP; until then, and while it
// cannot, every TCP flow is terminated. Safe for concurrent use; decisions made
// before stay as they are.
func (s *Scheduler) Translates(can bool) { s.translates.Store(can) }

// through settles what becomes of the flow here. It comes last, as all that was
// decided before may stand against translation; first is how the first candidate
// stands.
func (p *pick) through(first *standing) {
	if p.flow.Proto != flow.TCP {
		p.dec.Path = PathTerminate
		return
	}
	asked := p.dec.Path
	p.dec.Path = PathTerminate
	switch p.dec.PathWhy = p.untranslatable(); {
	case asked == PathTerminate:
		p.dec.PathWhy = pathAsked
	case p.dec.PathWhy != "":
	case asked == PathTranslate:
		p.dec.Path, p.dec.PathWhy = PathTranslate, pathAsked
	case p.dec.Race > 1 && (p.by == Fastest || p.raced()):
		p.dec.PathWhy = pathRace
	case first.silent:
		p.dec.PathWhy = pathSilent
	case first.answers == 0:
		p.dec.PathWhy = pathUnknown
	default:
		p.dec.Path, p.dec.PathWhy = PathTranslate, pathIdle
		if p.dec.n > 1 {
			p.dec.Patience = min(max(3*first.answers, leastPatience), mostPatience)
		}
	}
}

// Bounds of what is waited for a way that is known, before others are tried, too:
// three round trips, but no longer than until the app asks again.
const (
	leastPatience = 50 * time.Millisecond
	mostPatience  = time.Second
)

// untranslatable says what the flow needs that translation cannot do, "" for
// nothing.
func (p *pick) untranslatable() string {
	switch {
	case !p.translates.Load():
		return pathUnable
	case p.dec.MPTCP != MultipathOff:
		return pathMultipath
	case p.dec.candidates[0].To.IsValid():
		return pathNAT64
	case p.dec.OnFailure == FailHold:
		return pathHeld
	case p.flow.Confined:
		return pathConfined
	}
	return ""
}

// whyPath says why the flow of an explanation is terminated or translated, and
// names the rule that asks for it.
func (p *pick) whyPath() string {
	if p.dec.PathWhy != pathAsked {
		return p.dec.PathWhy
	}
	for _, r := range p.spoke {
		if r != nil && r.Path != PathInherit {
			return "rule " + quoted(r) + " says so"
		}
	}
	return "the defaults say so"
}
