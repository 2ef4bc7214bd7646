package host

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// watched runs a Pointed in mode file while do goes on, in virtual time.
func watched(t *testing.T, do func(t *testing.T, cfg Config, told func() []Upstreams, log func() string)) {
	t.Helper()
	cfg := setting(t)
	write(t, cfg.Path, theirs, 0o644)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var known []Upstreams
		var text safeBuffer
		cfg.Changed = func(u Upstreams) {
			mu.Lock()
			defer mu.Unlock()
			known = append(known, u)
		}
		p, err := Point(t.Context(), cfg, slog.New(slog.NewTextHandler(&text, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		do(t, cfg, func() []Upstreams {
			mu.Lock()
			defer mu.Unlock()
			return known
		}, text.String)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := p.Restore(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// named joins the general servers of what was told last.
func named(told []Upstreams) string {
	var out []string
	for _, a := range told[len(told)-1].General {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

func TestRewrittenFileIsPointedAgain(t *testing.T) {
	watched(t, func(t *testing.T, cfg Config, told func() []Upstreams, _ func() string) {
		t.Helper()
		if got := named(told()); got != "192.0.2.53" {
			t.Errorf("first told %q, want the original's server without the stub", got)
		}
		write(t, cfg.Path, "nameserver 203.0.113.53\n", 0o644)
		time.Sleep(2*lookInterval + settleTime)
		synctest.Wait()
		if !pointsAt([]byte(content(t, cfg.Path)), ours()) {
			t.Error("the file does not name us any more")
		}
		if got := named(told()); got != "203.0.113.53" || len(told()) != 2 {
			t.Errorf("told %d times, last %q, want the new server once", len(told()), got)
		}
		if o := load1(t, cfg.Record).Original; string(o.Content) != "nameserver 203.0.113.53\n" {
			t.Errorf("the original is %q, want the newer one", o.Content)
		}
	})
}

func TestQuarrelOverTheFileIsBounded(t *testing.T) {
	watched(t, func(t *testing.T, cfg Config, _ func() []Upstreams, log func() string) {
		t.Helper()
		repairs := 0
		for range 20 {
			if !strings.Contains(content(t, cfg.Path), "203.0.113.53\n\n") {
				repairs++
			}
			write(t, cfg.Path, "nameserver 203.0.113.53\n\n", 0o644)
			time.Sleep(lookInterval + 2*settleTime)
			synctest.Wait()
		}
		if repairs > repairLimit+1 {
			t.Errorf("repaired %d times within %v, want at most %d", repairs, repairWindow, repairLimit)
		}
		if n := strings.Count(log(), "keeps changing"); n != 1 {
			t.Errorf("the quarrel was said %d times, want once", n)
		}
		time.Sleep(repairWindow)
		synctest.Wait()
		if !pointsAt([]byte(content(t, cfg.Path)), ours()) {
			t.Error("after the wait the file is not pointed again")
		}
	})
}

func TestHalfWrittenFileIsNotTheOriginal(t *testing.T) {
	watched(t, func(t *testing.T, cfg Config, _ func() []Upstreams, _ func() string) {
		t.Helper()
		time.Sleep(lookInterval - settleTime/2)
		write(t, cfg.Path, "nameserver 203.", 0o644)
		time.Sleep(settleTime)
		write(t, cfg.Path, "nameserver 203.0.113.53\n", 0o644)
		time.Sleep(settleTime)
		if o := load1(t, cfg.Record).Original; string(o.Content) != theirs {
			t.Errorf("the original is %q while the file was being written", o.Content)
		}
		time.Sleep(2 * lookInterval)
		synctest.Wait()
		if o := load1(t, cfg.Record).Original; string(o.Content) != "nameserver 203.0.113.53\n" {
			t.Errorf("the original is %q", o.Content)
		}
	})
}
