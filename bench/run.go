package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Options say what is measured.
type Options struct {
	Binary string // of mifvif
	Turns  int    // how often the systems take turns, at least 1
	Rows   []Row
	// Profiles is a directory for a profile of the daemon in each row, "" wants none.
	Profiles string
	// Done is called after each row; nil: nobody looks on.
	Done func(Result)
}

// Result is one row's outcome.
type Result struct {
	ID      string             `json:"id"`
	Title   string             `json:"title"`
	Unit    string             `json:"unit"`
	Less    bool               `json:"less_is_better"`
	Turns   int                `json:"turns"`
	Systems map[string]Figures `json:"systems"` // direct, policy, mif0, offload
}

// Run measures the rows one after the other. The worlds of rows that share
// congestion control and layout stay for all of them.
func Run(ctx context.Context, o Options) (results []Result, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the lab makes network namespaces, which needs root (sudo)")
	}
	if _, err := exec.LookPath("iperf3"); err != nil {
		return nil, errors.New("iperf3 is not installed (apt-get install iperf3)")
	}
	var stage *stage
	defer func() { err = errors.Join(err, stage.close()) }()
	for _, row := range o.Rows {
		if stage, err = stage.of(ctx, o, row); err != nil {
			return results, err
		}
		r, err := stage.play(ctx, row, o.Turns)
		if err != nil {
			return results, fmt.Errorf("measure %s: %w", row.ID, err)
		}
		results = append(results, r)
		if o.Done != nil {
			o.Done(r)
		}
	}
	return results, nil
}

// stage is the systems that take turns.
type stage struct {
	layout, congestion string
	systems            []*system
}

// of returns a stage for the row: this one if it fits, a new one in its place if
// not.
func (s *stage) of(ctx context.Context, o Options, row Row) (*stage, error) {
	congestion := row.Congestion
	if congestion == "" {
		congestion = "cubic"
	}
	if s != nil && !row.Fresh && s.layout == row.Layout && s.congestion == congestion {
		return s, nil
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	next := &stage{layout: row.Layout, congestion: congestion}
	for _, name := range systems() {
		one, err := newSystem(ctx, name, o, row.Layout, congestion)
		if err != nil {
			return next, err
		}
		next.systems = append(next.systems, one)
	}
	return next, nil
}

func (s *stage) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, one := range s.systems {
		errs = append(errs, one.close())
	}
	s.systems = nil
	return errors.Join(errs...)
}

// turn is one measurement with what it cost.
type turn struct {
	sample
	cpu float64 // seconds of the daemon's, if there is one: at least a tick
}

// play has the systems take turns.
func (s *stage) play(ctx context.Context, row Row, turns int) (Result, error) {
	if row.Turns > 0 && (row.Alone || turns > 1) {
		turns = row.Turns
	}
	all := make(map[string][]turn)
	for range turns {
		for _, one := range s.systems {
			if !row.measures(one.name) {
				continue
			}
			t, err := one.turn(ctx, row)
			if err != nil {
				return Result{}, fmt.Errorf("%s: %w", one.name, err)
			}
			all[one.name] = append(all[one.name], t)
		}
	}
	r := Result{ID: row.ID, Title: row.Title, Unit: row.Unit, Less: row.Less, Turns: turns, Systems: make(map[string]Figures)}
	for name, list := range all {
		r.Systems[name] = figures(list)
	}
	if direct := r.Systems[Direct].Median; direct > 0 {
		for name, f := range r.Systems {
			f.Ratio = f.Median / direct
			r.Systems[name] = f
		}
	}
	return r, nil
}

func (s *system) turn(ctx context.Context, row Row) (turn, error) {
	before, err := s.cpu()
	if err != nil {
		return turn{}, err
	}
	measure := row.measure
	if s.profiles != "" {
		measure = func(ctx context.Context, s *system) (sample, error) { return s.profiled(ctx, row) }
	}
	m, err := measure(ctx, s)
	if err != nil {
		return turn{}, err
	}
	after, err := s.cpu()
	if s.daemon != nil {
		after = max(after, before+tick)
	}
	return turn{m, after - before}, err
}
