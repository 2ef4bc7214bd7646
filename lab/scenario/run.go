package scenario

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mifvif/lab"
)

// The systems a scenario can be played against.
const (
	Mifvif = "mifvif"
	Kernel = "kernel"
)

// The results of a scenario.
const (
	Passed  = "passed"
	Failed  = "failed"
	Skipped = "skipped"
)

// A Result is how one scenario went.
type Result struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Result  string  `json:"result"`
	Detail  string  `json:"detail"` // why it failed or was skipped
	Seconds float64 `json:"seconds"`
}

// A Report is the score of one run.
type Report struct {
	System    string   `json:"system"`
	Scenarios []Result `json:"scenarios"`
	Passed    int      `json:"passed"`
	Failed    int      `json:"failed"`
}

// A Player plays scenarios.
type Player struct {
	System string // Mifvif or Kernel
	Binary string // of mifvif
	// Strict makes a missing tool a failure instead of a skip.
	Strict bool
	Log    *slog.Logger // may be nil
}

const (
	playWithin  = 2 * time.Minute
	leaveWithin = 10 * time.Second
)

// Run plays scenarios one after another. each is called after every one and may
// be nil. The error says that ctx ended.
func (p Player) Run(ctx context.Context, scenarios []Scenario, each func(Result)) (Report, error) {
	report := Report{System: p.System, Scenarios: []Result{}}
	for _, s := range scenarios {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		r := p.Play(ctx, s)
		switch r.Result {
		case Passed:
			report.Passed++
		case Failed:
			report.Failed++
		}
		report.Scenarios = append(report.Scenarios, r)
		if each != nil {
			each(r)
		}
	}
	return report, nil
}

// Play plays one scenario in a world of its own.
func (p Player) Play(ctx context.Context, s Scenario) Result {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, playWithin, fmt.Errorf("not done after %v", playWithin))
	defer cancel()
	r := Result{ID: s.ID, Title: s.Title, Result: Passed}
	var missing *missingTool
	if err := p.play(ctx, s); errors.As(err, &missing) && !p.Strict {
		r.Result, r.Detail = Skipped, err.Error()
	} else if err != nil {
		r.Result, r.Detail = Failed, err.Error()
	}
	r.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	return r
}

func (p Player) play(ctx context.Context, s Scenario) (err error) {
	layout := lab.TwoNetworks
	if s.Layout != nil {
		layout = s.Layout
	}
	world, err := lab.NewCommon(layout(), p.Log)
	if err != nil {
		return err
	}
	leak := world.LeakCheck()
	defer func() {
		err = errors.Join(err, world.Close())
		if held := leak.Held(leaveWithin); len(held) > 0 {
			err = errors.Join(err, fmt.Errorf("the world is still held by %v", held))
		}
	}()
	env := &Env{Common: world, App: world.Host, config: s.Config, binary: p.Binary}
	if s.Prepare != nil {
		if err := s.Prepare(env); err != nil {
			return err
		}
	}
	if env.before, err = world.Host.Snapshot(); err != nil {
		return err
	}
	if p.System == Mifvif {
		if err := env.StartDaemon(ctx); err != nil {
			return err
		}
	}
	if err := s.Run(ctx, env); err != nil {
		return env.withLog(err)
	}
	return env.withLog(env.finish(ctx))
}

// finish checks what every scenario must leave behind: no packet with a foreign
// source at an edge, a daemon that ends in order, a host without its traces.
func (e *Env) finish(ctx context.Context) error {
	if err := e.NoForeignSource(); err != nil {
		return err
	}
	if e.Daemon == nil {
		return nil
	}
	if !e.Daemon.Alive() {
		return errors.New("the daemon died")
	}
	if err := e.Daemon.Stop(ctx); err != nil {
		return err
	}
	after, err := e.Host.Snapshot()
	if err != nil {
		return err
	}
	files, err := e.Daemon.Leftovers()
	if err != nil {
		return err
	}
	left := append(leftovers(after), changedSettings(e.before, after)...)
	if left = append(left, files...); len(left) > 0 {
		return fmt.Errorf("the daemon left behind:\n%s", strings.Join(left, "\n"))
	}
	return nil
}

// changedSettings returns the sysctls of interfaces that were there before and
// are not what they were.
func changedSettings(before, after lab.Snapshot) []string {
	var changed []string
	for _, line := range before.Differences(after) {
		name, isNew := strings.CutPrefix(line, "+ sysctl ")
		name, _, _ = strings.Cut(name, " = ")
		if isNew && slices.ContainsFunc(before, func(b string) bool { return strings.HasPrefix(b, "sysctl "+name+" = ") }) {
			changed = append(changed, line)
		}
	}
	return changed
}

// leftovers returns the lines of a snapshot that only mifvif can have made: the
// contract's device, tables, rule priorities, nftables and programs.
func leftovers(s lab.Snapshot) []string {
	var left []string
	for _, line := range s {
		for _, mark := range []string{"mif0", " table 641", " table 642", "rule 641", "protocol 64", "nft table 1 mifvif", "nft chain mifvif", "program mifvif", "198.18.0."} {
			if strings.Contains(line, mark) {
				left = append(left, line)
				break
			}
		}
	}
	return left
}
